"""Who is asked for keys, and when, decided without a clock or a server."""

from __future__ import annotations

import math
import random

import pytest

from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.planning import FetchPlan
from tests.support.scene import MakeSettings
from tests.support.tokens import signing_key

MEMBER = "https://auth.example.com"
STATIC = "https://static.example.com"
PEER = "192.0.2.1"


class Plant:
    """A member, an issuer of a file, and as many confirmed neighbours as wanted."""

    def __init__(self, make_settings: MakeSettings) -> None:
        static = {STATIC: parse_jwks({"keys": [signing_key(2).jwk()]}).keys}
        settings = make_settings(servers=[MEMBER])
        self.members = Membership(settings, static, random.uniform, now=0.0)
        self.newcomers = Newcomers(interval=10)
        self.plan = FetchPlan(self.members, self.newcomers)
        self.numbers = iter(range(1, 1000))

    def confirmed(self, port: int, due: float) -> Issuer:
        """Add a confirmed neighbour that is due then."""
        issuer = self.members.new(f"{MEMBER}:{port}", Source.SAME_HOST)
        self.members.admit(issuer)
        issuer.schedule.due = due
        return issuer

    def begin(self, now: float) -> list[str]:
        """Begin what is due, and tell whom it is asked."""
        due = self.plan.due(now)
        for issuer in due:
            self.plan.begin(issuer, next(self.numbers), now)
        return [each.url.text for each in due]


@pytest.fixture
def plant(make_settings: MakeSettings) -> Plant:
    """Return a plant whose member has been asked."""
    plant = Plant(make_settings)
    assert plant.begin(0) == [MEMBER]
    member = plant.members.get(MEMBER)
    assert member is not None
    member.schedule.succeeded(0)
    return plant


def test_members_are_asked_when_they_are_due(plant: Plant) -> None:
    """And issuers of a file never."""
    following = plant.plan.next_fetch(0)
    assert 3600 <= following <= 3660
    assert plant.begin(following - 1) == []
    assert plant.begin(following) == [MEMBER]
    assert plant.plan.next_fetch(following) == math.inf


def test_three_neighbours_are_asked_at_a_time_the_longest_due_first(plant: Plant) -> None:
    """The others wait for a place, for which the end of a fetch has to be told."""
    issuers = [plant.confirmed(9000 + number, due=10.0 - number) for number in range(5)]
    assert plant.plan.next_fetch(0) == 6
    assert plant.begin(20) == [f"{MEMBER}:{port}" for port in (9004, 9003, 9002)]
    assert plant.begin(20) == []
    assert 3600 <= plant.plan.next_fetch(20) <= 3660
    issuers[4].schedule.succeeded(21)
    assert plant.plan.next_fetch(21) <= 21
    assert plant.begin(21) == [f"{MEMBER}:9001"]


def test_a_member_that_is_asked_takes_no_place_of_theirs(plant: Plant) -> None:
    """However slowly it answers."""
    due = plant.plan.next_fetch(0)
    for port in (9000, 9001, 9002):
        plant.confirmed(port, due=due + 1)
    assert plant.begin(due) == [MEMBER]
    assert len(plant.begin(due + 1)) == 3


def test_newcomers_have_the_places_that_confirmed_ones_leave(plant: Plant) -> None:
    """One here; and one more as each ends."""
    for port in (9000, 9001):
        plant.confirmed(port, due=5)
    for port in (8001, 8002, 8003):
        plant.newcomers.retry_after(f"{MEMBER}:{port}", PEER, 10)
    assert plant.begin(10) == [f"{MEMBER}:9000", f"{MEMBER}:9001", f"{MEMBER}:8001"]
    assert plant.begin(10) == []
    assert 3600 <= plant.plan.next_fetch(10) <= 3660
    plant.newcomers.ended(f"{MEMBER}:8001", answered=True, now=11)
    assert plant.plan.next_fetch(11) <= 11
    assert plant.begin(11) == [f"{MEMBER}:8002"]


def test_newcomers_wait_for_their_allowance(plant: Plant) -> None:
    """Places alone do not have them asked."""
    for port in range(8000, 8005):
        plant.newcomers.retry_after(f"{MEMBER}:{port}", PEER, 0)
    assert len(plant.begin(0)) == 3
    for port in range(8000, 8003):
        plant.newcomers.ended(f"{MEMBER}:{port}", answered=True, now=1)
    assert plant.begin(1) == []
    assert plant.plan.next_fetch(1) == pytest.approx(10)
    assert plant.begin(10) == [f"{MEMBER}:8003"]


def test_no_more_are_asked_than_can_be_held(plant: Plant) -> None:
    """With sixteen confirmed ones there is no room for a newcomer."""
    for number in range(15):
        plant.confirmed(9000 + number, due=1e6)
    for port in (8001, 8002):
        plant.newcomers.retry_after(f"{MEMBER}:{port}", PEER, 0)
    assert plant.plan.has_room
    assert plant.begin(0) == [f"{MEMBER}:8001"]
    assert not plant.plan.has_room
    assert 3600 <= plant.plan.next_fetch(0) <= 3660
    plant.newcomers.ended(f"{MEMBER}:8001", answered=False, now=1)
    assert plant.begin(1) == [f"{MEMBER}:8002"]


def test_who_is_of_interest(plant: Plant) -> None:
    """Who is held, and a newcomer that is being asked; nobody who has gone."""
    confirmed = plant.confirmed(9000, due=0)
    newcomer = plant.members.new(f"{MEMBER}:8001", Source.SAME_HOST)
    stranger = plant.members.new("https://other.example.com", Source.DISCOVERY)
    assert plant.plan.holds(confirmed)
    assert not plant.plan.holds(newcomer)
    assert not plant.plan.holds(stranger)
    plant.newcomers.asked |= {newcomer.url.text, stranger.url.text}
    assert plant.plan.holds(newcomer)
    assert not plant.plan.holds(stranger)
    plant.members.drop(confirmed)
    assert not plant.plan.holds(confirmed)
