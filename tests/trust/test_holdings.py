"""What a fetch, a failure and a file change about who is held, and with which keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from nmos_auth.errors import FetchError, KeySetError, MetadataError
from nmos_auth.servers.urls import IssuerUrl
from nmos_auth.trust.finality import LastFetch
from nmos_auth.trust.holdings import Holdings
from nmos_auth.trust.issuers import Issuer, Source
from nmos_auth.trust.jwks import KeySet, VerificationKey, parse_jwks
from nmos_auth.trust.keeping import Keeper
from nmos_auth.trust.keys_file import KeptIssuer, KeptKeys
from nmos_auth.trust.membership import Membership
from nmos_auth.trust.neighbours import Newcomers
from nmos_auth.trust.published import Published, Unpublished
from tests.support.scene import MakeSettings
from tests.support.tokens import signing_key

HOST = "https://auth.example.com"
OTHER = "https://other.example.com"
STATIC = "https://static.example.com"
NEXT_DOOR = f"{HOST}:8443"
REALM = f"{HOST}/realm"
PEER = "192.0.2.1"
DAY = 24 * 3600.0

SILENT = Unpublished(FetchError("no answer"), "metadata")
GONE = Unpublished(FetchError("not found", status=404), "metadata")
NO_KEYS = Unpublished(FetchError("not found", status=404), "keys")


def place(issuer: str) -> str:
    """Return where the metadata of an issuer is."""
    return IssuerUrl.parse(issuer).metadata_url


def keys(*numbers: int) -> tuple[VerificationKey, ...]:
    """Return the keys of these numbers."""
    return parse_jwks({"keys": [signing_key(each).jwk() for each in numbers]}).keys


def published(*numbers: int, date: float | None = None, is_fresh: bool = True) -> Published:
    """Return what a fetch gave: the keys of these numbers."""
    return Published(KeySet(keys(*numbers)), date, is_fresh=is_fresh)


class File:
    """A keys file with this content, which is never written."""

    def __init__(self, content: KeptKeys) -> None:
        self.content = content

    def load(self) -> KeptKeys:
        """Read it."""
        return self.content

    def save(self, kept: KeptKeys) -> bool:
        """Write nothing."""
        raise AssertionError(kept)


class Recorder(Keeper):
    """A keeper that counts what it is told."""

    def __init__(self, content: KeptKeys) -> None:
        super().__init__(File(content), asyncio.to_thread)
        self.changes = 0
        self.confirmations: list[tuple[str, float]] = []

    def changed(self) -> None:
        """Count it."""
        self.changes += 1

    def confirmed(self, url: str, when: float) -> None:
        """Note it."""
        self.confirmations.append((url, when))


class Plant:
    """Two members, an issuer of a file, and clocks that a test sets: 1,000 s and 5,000 s."""

    def __init__(self, make_settings: MakeSettings, kept: Mapping[str, KeptIssuer]) -> None:
        settings = make_settings(servers=[HOST], trusted_issuers=[OTHER])
        self.now, self.date = 1000.0, 5000.0
        self.withdrawals = 0
        self.members = Membership(settings, {STATIC: keys(9)}, max, now=self.now)
        self.newcomers = Newcomers(interval=10)
        self.keeper = Recorder(kept)
        self.holdings = Holdings(
            self.members,
            self.newcomers,
            self.keeper,
            monotonic=lambda: self.now,
            clock=lambda: self.date,
            on_withdrawal=self.withdraw,
        )

    def withdraw(self) -> None:
        """Count it."""
        self.withdrawals += 1

    def __getitem__(self, url: str) -> Issuer:
        """Return who is held by this name."""
        issuer = self.members.get(url)
        assert issuer is not None
        return issuer

    def fetched(self, issuer: Issuer, outcome: Published | Unpublished) -> Exception | None:
        """Have the seventh fetch end, which began a second ago."""
        issuer.schedule.begin(7, self.now)
        return self.holdings.take(issuer, outcome, number=7, began=self.now - 1)

    def newcomer(self) -> Issuer:
        """Return a neighbour that is being asked for the first time."""
        self.newcomers.retry_after(NEXT_DOOR, PEER, self.now)
        assert self.newcomers.take(self.now) == NEXT_DOOR
        return self.members.new(NEXT_DOOR, Source.SAME_HOST)

    def neighbour(self) -> Issuer:
        """Return a neighbour that is confirmed, and has the fifth key."""
        issuer = self.newcomer()
        assert self.fetched(issuer, published(5)) is None
        self.keeper.changes = 0
        return issuer


@pytest.fixture
def plant(make_settings: MakeSettings) -> Plant:
    """Return a plant without a file."""
    return Plant(make_settings, {})


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was logged since this was asked last."""
    lines = [(each.levelname, each.getMessage()) for each in caplog.records]
    caplog.clear()
    return lines


# Members


def test_keys_that_were_fetched_are_held(plant: Plant) -> None:
    """With what is known of the fetch, of the server's clock, and of when that was."""
    issuer = plant[HOST]
    issuer.error = "no answer"
    assert plant.fetched(issuer, published(0, date=5007.0)) is None
    assert issuer.keys == keys(0)
    assert issuer.pool == keys(0, 9)
    assert plant[OTHER].pool == keys(0, 9)
    assert issuer.error is None
    assert issuer.last_fetch == LastFetch(7, 999, 5007)
    assert issuer.clock_offset == 7
    assert issuer.confirmed_at == 1000
    assert issuer.schedule.pending is None
    assert issuer.schedule.due == 1000 + 3600 + 60
    assert plant.keeper.confirmations == [(HOST, 5000)]


def test_the_clock_of_a_server_is_told_by_fresh_answers_only(plant: Plant) -> None:
    """What a cache had for a while says nothing of it."""
    plant.fetched(plant[HOST], published(0, date=4000.0, is_fresh=False))
    assert plant[HOST].clock_offset is None
    assert plant[HOST].last_fetch == LastFetch(7, 999, 4000)


@pytest.mark.parametrize(
    ("then", "withdrawals", "changes"),
    [([0, 1], 0, 0), ([1, 0], 0, 1), ([0, 1, 2], 0, 1), ([0], 1, 1), ([2], 1, 1), ([], 1, 1)],
)
def test_what_is_published_no_more_is_withdrawn(
    plant: Plant, then: list[int], withdrawals: int, changes: int
) -> None:
    """All keys included, for a member that had some; what has changed is to be saved."""
    plant.fetched(plant[HOST], published(0, 1))
    plant.keeper.changes = 0
    assert plant.fetched(plant[HOST], published(*then)) is None
    assert plant[HOST].keys == keys(*then)
    assert (plant.withdrawals, plant.keeper.changes) == (withdrawals, changes)


def test_a_first_key_set_without_keys_is_a_failure(plant: Plant) -> None:
    """Nothing can be verified yet, which an operator has to see."""
    error = plant.fetched(plant[HOST], published())
    assert isinstance(error, KeySetError)
    assert plant[HOST].error == str(error) == "no key of its set can verify access tokens"
    assert not plant[HOST].has_had_keys
    assert plant[HOST].last_fetch is None
    assert plant[HOST].schedule.failures == 1


def test_a_failure_loses_no_key_of_a_member(plant: Plant) -> None:
    """Whatever the answer was, and for however long."""
    issuer = plant[HOST]
    plant.fetched(issuer, published(0))
    before = issuer.last_fetch
    for failure in (SILENT, GONE, NO_KEYS):
        plant.now += DAY
        assert plant.fetched(issuer, failure) is failure.error
        assert issuer.keys == keys(0)
        assert plant.members.holds(issuer)
        assert issuer.last_fetch is before
        assert issuer.error == str(failure.error)
        assert issuer.schedule.pending is None
    assert issuer.schedule.failures == 3
    assert plant.withdrawals == 0


def test_each_failure_is_told_once(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    """As a warning where it is new, with how many keys are held; and its end as well."""
    caplog.set_level(logging.INFO, "nmos_auth")
    issuer = plant[HOST]
    plant.fetched(issuer, published(0))
    assert told(caplog) == []
    for failure, level in ((SILENT, "WARNING"), (SILENT, "INFO"), (GONE, "WARNING")):
        plant.fetched(issuer, failure)
        assert told(caplog) == [(level, f"no keys from {HOST}: {failure.error}; held: 1")]
    plant.fetched(issuer, Unpublished(OSError(), "keys"))
    assert told(caplog) == [("WARNING", f"no keys from {HOST}: OSError; held: 1")]
    plant.fetched(issuer, published(1))
    assert told(caplog) == [
        ("INFO", f"the keys of {HOST} can be fetched again"),
        ("INFO", f"{HOST} has withdrawn keys"),
    ]


def test_keys_that_cannot_be_used_are_told_of_once(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    """And once more after they were gone."""
    for passed_over in (("a", "b"), ("a", "b"), ("b",), (), ("b",)):
        plant.fetched(plant[HOST], Published(KeySet(keys(0), passed_over), None, is_fresh=True))
    assert told(caplog) == [
        ("WARNING", f"some keys of {HOST} cannot be used: {text}") for text in ("a; b", "b", "b")
    ]


# Metadata that names another issuer

NAMING = Unpublished(MetadataError("another issuer"), "metadata", names=REALM)


def test_whom_configured_metadata_names_is_a_member_once_it_has_keys(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that was configured has answered, and has none of its own."""
    caplog.set_level(logging.WARNING, "nmos_auth")
    configured = plant[HOST]
    plant.fetched(configured, NAMING)
    assert configured.last_fetch == LastFetch(7, 999, None)
    assert configured.schedule.failures == 0
    assert configured.schedule.due == 1000 + 3600 + 60
    assert plant[REALM].source is Source.METADATA
    assert not plant[REALM].is_member
    caplog.clear()
    plant.fetched(plant[REALM], published(1))
    assert told(caplog) == [
        (
            "WARNING",
            (
                f"NMOS_AUTH_SERVERS: the metadata of {HOST} names {REALM}, which is trusted"
                " instead; set the variable to that URL"
            ),
        )
    ]
    assert plant[OTHER].pool == keys(9, 1)
    plant.fetched(plant[REALM], published(1))
    assert told(caplog) == []


@pytest.mark.parametrize(
    ("then", "stays"),
    [
        (NAMING, True),
        (SILENT, True),
        (Unpublished(FetchError("unavailable", status=503), "metadata"), True),
        (GONE, False),
        (Unpublished(MetadataError("not JSON"), "metadata"), False),
        (published(0), False),
    ],
)
def test_it_stays_until_the_configured_one_answers_otherwise(
    plant: Plant, then: Published | Unpublished, *, stays: bool
) -> None:
    """Trouble is not an answer."""
    plant.fetched(plant[HOST], NAMING)
    plant.fetched(plant[REALM], published(1))
    plant.keeper.changes = 0
    plant.fetched(plant[HOST], then)
    assert (plant.members.get(REALM) is not None) is stays
    assert plant.withdrawals == (not stays)


def test_whom_other_metadata_names_is_not_trusted(plant: Plant) -> None:
    """Only SERVERS may name a place instead of an issuer."""
    plant.fetched(plant[OTHER], NAMING)
    assert plant.members.get(REALM) is None
    assert plant[OTHER].schedule.failures == 1
    assert plant[OTHER].last_fetch is None


# Neighbours


def test_a_newcomer_that_publishes_is_held(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    """With keys that are good for its own tokens."""
    caplog.set_level(logging.INFO, "nmos_auth")
    issuer = plant.neighbour()
    assert plant.members.holds(issuer)
    assert issuer.pool == keys(5)
    assert plant[HOST].pool == keys(9)
    assert issuer.confirmed_at == 1000
    assert plant.newcomers.asked == set()
    assert plant.keeper.confirmations == [(NEXT_DOOR, 5000)]
    said = f"{NEXT_DOOR} is accepted: a trusted issuer is on another port"
    assert told(caplog) == [("INFO", said)]
    plant.fetched(issuer, published(5))
    assert told(caplog) == []


@pytest.mark.parametrize(("failure", "expected"), [(SILENT, 60), (GONE, None), (NO_KEYS, None)])
def test_a_newcomer_that_does_not_is_remembered_for_a_minute(
    plant: Plant, caplog: pytest.LogCaptureFixture, failure: Unpublished, expected: int | None
) -> None:
    """Whoever names it is answered by what it said; no operator is bothered."""
    caplog.set_level(logging.INFO, "nmos_auth")
    issuer = plant.newcomer()
    assert plant.fetched(issuer, failure) is failure.error
    assert plant.newcomers.asked == set()
    assert plant.newcomers.retry_after(NEXT_DOOR, PEER, plant.now) == expected
    assert plant.members.get(NEXT_DOOR) is None
    (line,) = told(caplog)
    assert line == ("INFO", f"no keys were fetched from {NEXT_DOOR}: {failure.error}")


def test_a_newcomer_is_not_held_without_its_member(plant: Plant) -> None:
    """Which may go while it is asked."""
    issuer = plant.newcomer()
    plant.members.drop(plant[HOST])
    plant.members.draw()
    assert plant.fetched(issuer, published(5)) is None
    assert plant.members.get(NEXT_DOOR) is None
    assert not issuer.keys
    assert plant.newcomers.asked == set()
    assert plant.keeper.confirmations == []


@pytest.mark.parametrize(
    ("failure", "later", "held"),
    [
        (SILENT, DAY - 1, True),
        (SILENT, DAY, False),
        (NO_KEYS, 1, True),
        (NO_KEYS, DAY, False),
        (GONE, 1, False),
    ],
)
def test_when_a_neighbour_is_forgotten(
    plant: Plant, failure: Unpublished, later: float, *, held: bool
) -> None:
    """As soon as its metadata says that it is none, and after a day without its keys."""
    issuer = plant.neighbour()
    plant.now += later
    plant.fetched(issuer, failure)
    assert plant.members.holds(issuer) is held
    assert (plant.withdrawals, plant.keeper.changes) == ((0, 0) if held else (1, 1))
    if not held:
        answered = None if failure.answered else 60
        assert plant.newcomers.retry_after(NEXT_DOOR, PEER, plant.now) == answered


# Who comes and goes


def test_who_goes_takes_his_keys_along(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens may be invalid since; with nothing held, nothing has changed for them."""
    caplog.set_level(logging.INFO, "nmos_auth")
    come, gone = plant.members.advertise({REALM: place(REALM)})
    plant.holdings.changed(come, gone)
    assert told(caplog) == [("INFO", f"{REALM} is trusted: it is advertised")]
    plant.holdings.changed(*plant.members.advertise({}))
    assert told(caplog) == [("INFO", f"{REALM} is no longer trusted")]
    assert (plant.withdrawals, plant.keeper.changes) == (0, 0)
    plant.holdings.changed(*plant.members.advertise({REALM: place(REALM)}))
    plant.fetched(plant[REALM], published(1))
    plant.keeper.changes = 0
    plant.holdings.changed(*plant.members.advertise({}))
    assert (plant.withdrawals, plant.keeper.changes) == (1, 1)


def test_a_neighbour_that_is_advertised_is_not_gone(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    """Its keys go on being valid; and it is a newcomer no more."""
    plant.neighbour()
    caplog.set_level(logging.INFO, "nmos_auth")
    plant.holdings.changed(*plant.members.advertise({NEXT_DOOR: place(NEXT_DOOR)}))
    assert plant[NEXT_DOOR].keys == keys(5)
    assert plant.holdings.held() == {NEXT_DOOR: KeptIssuer(keys(5), 5000, (place(NEXT_DOOR),))}
    assert plant.withdrawals == 0
    assert told(caplog) == [("INFO", f"{NEXT_DOOR} is trusted: it is advertised")]


def test_who_comes_is_a_newcomer_no_more(plant: Plant) -> None:
    """Nor is anybody whose member has gone."""
    plant.newcomer()
    plant.holdings.changed(*plant.members.advertise({NEXT_DOOR: place(NEXT_DOOR)}))
    assert plant.newcomers.asked == set()
    plant.newcomers.asked.add(f"{STATIC}.elsewhere.example.com")
    plant.holdings.changed((), ())
    assert plant.newcomers.asked == set()


# Over restarts


def test_what_a_restart_should_find(plant: Plant) -> None:
    """Keys that were fetched, with when that was by the clock of now; none of a file."""
    plant.fetched(plant[HOST], published(0))
    plant.neighbour()
    plant.now, plant.date = 1100.0, 9000.0
    assert plant.holdings.held() == {
        HOST: KeptIssuer(keys(0), 8900.0),
        NEXT_DOOR: KeptIssuer(keys(5), 8900.0),
    }


def test_what_was_kept_is_held_as_soon_as_it_is_trusted(make_settings: MakeSettings) -> None:
    """Of neighbours what is less than a day old; strangers wait until somebody trusts them."""
    late = f"{HOST}:9443"
    kept = {
        HOST: KeptIssuer(keys(0), 5000 - 30),
        OTHER: KeptIssuer((), 5000),
        NEXT_DOOR: KeptIssuer(keys(5), 5000 - DAY + 1),
        late: KeptIssuer(keys(6), 5000 - DAY),
        REALM: KeptIssuer(keys(1), 5000 - 2 * DAY),
    }
    plant = Plant(make_settings, kept)
    plant.holdings.take_kept()
    assert plant[HOST].keys == keys(0)
    assert plant[HOST].confirmed_at == 1000 - 30
    assert plant[HOST].held_since == {keys(0)[0]: 1000}
    assert plant[OTHER].pool == keys(0, 9)
    assert not plant[OTHER].has_had_keys
    assert plant[NEXT_DOOR].pool == keys(5)
    assert plant[NEXT_DOOR].confirmed_at == 1000 - DAY + 1
    assert plant.members.get(late) is None
    assert set(plant.keeper.waiting) == {REALM}
    plant.holdings.changed(*plant.members.advertise({REALM: place(REALM)}))
    assert plant[REALM].keys == keys(1)
    assert not plant.keeper.waiting


def test_whom_a_server_named_is_held_with_its_neighbours(make_settings: MakeSettings) -> None:
    """As without a restart: a member, and so are the neighbours that were kept; the log warns."""
    kept = {
        f"{HOST}:8443/realm": KeptIssuer(keys(5), 5000),
        REALM: KeptIssuer(keys(1), 5000, (place(HOST),)),
    }
    plant = Plant(make_settings, kept)
    plant.holdings.restore()
    assert plant[REALM].source is Source.METADATA
    assert plant[REALM].pool == keys(1, 9)
    assert plant[f"{HOST}:8443/realm"].pool == keys(5)
    assert not plant.keeper.waiting
    held = plant.holdings.held()
    assert held[REALM] == kept[REALM]
    assert held[f"{HOST}:8443/realm"].named_at == ()


def test_only_servers_name_others(make_settings: MakeSettings) -> None:
    """The metadata of an issuer in TRUSTED_ISSUERS names nobody, and neither does a kept one."""
    plant = Plant(make_settings, {f"{OTHER}/realm": KeptIssuer(keys(1), 5000, (place(OTHER),))})
    plant.holdings.restore()
    assert plant.members.get(f"{OTHER}/realm") is None


def test_what_was_fetched_is_newer_than_what_was_kept(make_settings: MakeSettings) -> None:
    """A key that was withdrawn does not come back."""
    plant = Plant(make_settings, {HOST: KeptIssuer(keys(0, 1), 4000)})
    plant[HOST].hold(keys(1), 1000)
    plant.holdings.take_kept()
    assert plant[HOST].keys == keys(1)
    assert plant.withdrawals == 0
    assert not plant.keeper.waiting
