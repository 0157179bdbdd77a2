"""What to do next, and what answers mean: IS-04 v1.3 "Behaviour: Registration"."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_node.registration.behaviour import (
    Heartbeat,
    Lost,
    Phase,
    Refused,
    Register,
    RegistryAnswer,
    Request,
    Standing,
    Unregister,
    Wait,
    after,
    farewell,
    next_step,
)
from example_node.registration.records import Kind, Record
from example_node.resources import Resource

INTERVAL = 5.0


def record(kind: Kind, number: int, parent: Record | None = None, version: str = "1:0") -> Record:
    """Make a record of a resource that is as small as can be."""
    resource = Resource(
        id=f"0000000{number}-0000-4000-8000-000000000000", version=version, label=""
    )
    return Record(kind, resource, None if parent is None else parent.id)


NODE = record(Kind.NODE, 0)
DEVICE = record(Kind.DEVICE, 1, NODE)
SOURCE = record(Kind.SOURCE, 2, DEVICE)
FLOW = record(Kind.FLOW, 3, DEVICE)
SENDER = record(Kind.SENDER, 4, DEVICE)
RECEIVER = record(Kind.RECEIVER, 5, DEVICE)
WANTED = (NODE, DEVICE, SOURCE, FLOW, SENDER, RECEIVER)
HELD = {each.id: each for each in WANTED}
REGISTERED = Standing(Phase.REGISTERED, held=HELD, heartbeat_due=100.0)


def changed(of: Record) -> Record:
    """Return a later version of a record."""
    resource = of.resource.model_copy(update={"version": f"1{of.version}"})
    return replace(of, resource=resource)


def outcome(
    standing: Standing, request: Request, status: int | None, location: str | None = None
) -> Standing | Lost | Refused:
    """Return what an answer at 50 seconds means."""
    return after(standing, request, RegistryAnswer(status, location), 50.0, INTERVAL)


def standing_after(
    standing: Standing, request: Request, status: int | None, location: str | None = None
) -> Standing:
    """The same where it is known to be a standing."""
    found = outcome(standing, request, status, location)
    assert isinstance(found, Standing)
    return found


# What to do next


def test_resources_are_registered_in_order() -> None:
    """Referential Integrity: Node, Devices, Sources, Flows, Senders, Receivers; then it waits."""
    standing = Standing()
    for expected in WANTED:
        step = next_step(standing, WANTED, 50.0)
        assert step == Register(expected)
        standing = standing_after(standing, Register(expected), 201)
    assert next_step(standing, WANTED, 50.0) == Wait(55.0)


def test_heartbeats_come_before_anything_else() -> None:
    """A Node with many resources is not forgotten while it registers them."""
    standing = replace(REGISTERED, held={NODE.id: NODE}, heartbeat_due=50.0)
    assert next_step(standing, WANTED, 49.9) == Register(DEVICE)
    assert next_step(standing, WANTED, 50.0) == Heartbeat(NODE.id)
    beaten = standing_after(standing, Heartbeat(NODE.id), 200)
    assert beaten.heartbeat_due == 55.0
    assert next_step(beaten, WANTED, 50.0) == Register(DEVICE)


@pytest.mark.parametrize("which", WANTED)
def test_what_has_changed_is_registered_again(which: Record) -> None:
    """Registration Updates: by its version, and nothing besides."""
    wanted = [changed(each) if each is which else each for each in WANTED]
    assert next_step(REGISTERED, wanted, 50.0) == Register(changed(which))
    standing = standing_after(REGISTERED, Register(changed(which)), 200)
    assert isinstance(next_step(standing, wanted, 50.0), Wait)


def test_what_is_gone_is_deleted_children_first() -> None:
    """Controlled Unregistration: "child resources followed by their parents"."""
    standing, deleted = REGISTERED, []
    while isinstance(step := next_step(standing, [NODE], 50.0), Unregister):
        deleted.append(step.id)
        standing = standing_after(standing, step, 204)
    assert deleted == [each.id for each in (RECEIVER, SENDER, FLOW, SOURCE, DEVICE)]
    assert isinstance(step, Wait)


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404])
def test_a_deletion_is_asked_for_once(status: int) -> None:
    """Whatever a registry says to it: what it does not hold, or will not delete, is let go."""
    standing = standing_after(REGISTERED, Unregister(Kind.SENDER, SENDER.id), status)
    assert SENDER.id not in standing.held


def test_at_the_end_all_is_deleted_children_first() -> None:
    """Controlled Unregistration: the Node last, and only where something is registered."""
    assert [each.id for each in farewell(REGISTERED)] == [each.id for each in reversed(WANTED)]
    for phase in (Phase.UNREGISTERED, Phase.CLEARING, Phase.ARRIVING):
        assert farewell(replace(REGISTERED, phase=phase)) == ()


# Answers


def test_200_at_first_registration() -> None:
    """Node Encounters HTTP 200 On First Registration: DELETE, once, and register again."""
    standing = standing_after(Standing(), Register(NODE), 200)
    assert next_step(standing, WANTED, 50.0) == Unregister(Kind.NODE, NODE.id)
    cleared = standing_after(standing, Unregister(Kind.NODE, NODE.id), 204)
    assert next_step(cleared, WANTED, 50.0) == Register(NODE)
    assert standing_after(cleared, Register(NODE), 201).phase is Phase.REGISTERED
    # A registry that says 200 all the same is believed: there would be no end.
    assert standing_after(cleared, Register(NODE), 200).phase is Phase.REGISTERED


@pytest.mark.parametrize(("status", "goes_on"), [(200, True), (204, True), (404, True)])
def test_clearing(status: int, *, goes_on: bool) -> None:
    """Deleted, or not there any more: the way is clear."""
    standing = Standing(Phase.CLEARING)
    found = outcome(standing, Unregister(Kind.NODE, NODE.id), status)
    assert isinstance(found, Standing) is goes_on


def test_404_on_heartbeat() -> None:
    """Node Encounters HTTP 404 On Heartbeat: "MUST re-register each of its resources … in order".

    What was rejected before is tried again there: another record of the Node, another parent.
    """
    standing = replace(REGISTERED, rejected=frozenset({(FLOW.id, FLOW.version)}))
    standing = standing_after(standing, Heartbeat(NODE.id), 404)
    for expected in WANTED:
        assert next_step(standing, WANTED, 50.0) == Register(expected)
        standing = standing_after(standing, Register(expected), 201)


@pytest.mark.parametrize("status", [400, 404, 405, 413, 418, 422, 499])
def test_a_rejected_node_is_refused(status: int) -> None:
    """HTTP 400 (Or Other Undocumented 4xx): not again "without corrective action"."""
    assert isinstance(outcome(Standing(), Register(NODE), status), Refused)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_rejected_resource_is_not_sent_again(status: int) -> None:
    """Until its version changes; what depends on it waits, and everything else goes on."""
    standing = replace(REGISTERED, held={NODE.id: NODE})
    standing = standing_after(standing, Register(DEVICE), status)
    assert isinstance(next_step(standing, WANTED, 50.0), Wait)
    wanted = (NODE, changed(DEVICE), *WANTED[2:])
    assert next_step(standing, wanted, 50.0) == Register(changed(DEVICE))
    other = record(Kind.DEVICE, 9, NODE)
    assert next_step(standing, (*WANTED, other), 50.0) == Register(other)


def test_rejected_versions_are_not_remembered_for_ever() -> None:
    """However many versions of a resource are rejected, only the latest can be wanted again."""
    standing, flow = REGISTERED, FLOW
    for _ in range(3):
        flow = changed(flow)
        standing = standing_after(standing, Register(flow), 400)
    assert standing.rejected == {(flow.id, flow.version)}


def test_a_rejected_change_leaves_the_former_version_registered() -> None:
    """So its children stay, and it is deleted in the end."""
    standing = standing_after(REGISTERED, Register(changed(DEVICE)), 400)
    assert standing.held[DEVICE.id] == DEVICE
    assert isinstance(next_step(standing, (NODE, changed(DEVICE), *WANTED[2:]), 50.0), Wait)


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504, 599, 301, 307, 101])
@pytest.mark.parametrize(
    ("standing", "request_"),
    [
        (Standing(), Register(NODE)),
        (REGISTERED, Heartbeat(NODE.id)),
        (REGISTERED, Register(changed(SENDER))),
        (REGISTERED, Unregister(Kind.SENDER, SENDER.id)),
        (Standing(Phase.ARRIVING), Heartbeat(NODE.id)),
        (Standing(Phase.CLEARING), Unregister(Kind.NODE, NODE.id)),
    ],
)
def test_registries_that_fail(standing: Standing, request_: Request, status: int | None) -> None:
    """Node Encounters HTTP 500 (or other 5xx), Inability To Connect, Or A Timeout.

    Redirects are for nobody: the API has none.
    """
    assert isinstance(outcome(standing, request_, status), Lost)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("standing", "request_"),
    [
        (Standing(), Register(NODE)),
        (REGISTERED, Heartbeat(NODE.id)),
        (REGISTERED, Register(changed(NODE))),
        (Standing(Phase.CLEARING), Unregister(Kind.NODE, NODE.id)),
    ],
)
def test_tokens_that_do_not_do(standing: Standing, request_: Request, status: int) -> None:
    """401 and 403 are about the token, and a later token may do: the registry is lost for now."""
    found = outcome(standing, request_, status)
    assert isinstance(found, Lost)
    assert found.denied


def test_another_registry_is_asked_by_heartbeat() -> None:
    """It SHOULD be "the first interaction with a new Registration API in this case".

    "a 200 (OK) code indicates that the Node and its resources are still present in the registry
    cluster and no further action is necessary".
    """
    arriving = REGISTERED.at_another()
    assert next_step(arriving, WANTED, 50.0) == Heartbeat(NODE.id)
    arrived = standing_after(arriving, Heartbeat(NODE.id), 200)
    assert next_step(arrived, WANTED, 50.0) == Wait(55.0)
    elsewhere = standing_after(arriving, Heartbeat(NODE.id), 404)
    assert next_step(elsewhere, WANTED, 50.0) == Register(NODE)


def test_a_change_on_the_way_to_another_registry() -> None:
    """It is sent to that one."""
    wanted = (*WANTED[:5], changed(RECEIVER))
    arrived = standing_after(REGISTERED.at_another(), Heartbeat(NODE.id), 200)
    assert next_step(arrived, wanted, 50.0) == Register(changed(RECEIVER))


def test_known_at_another_registry_from_an_earlier_life() -> None:
    """The first registry failed before this Node was registered, the next knows it from before."""
    arriving = Standing().at_another()
    standing = standing_after(arriving, Heartbeat(NODE.id), 200)
    assert next_step(standing, WANTED, 50.0) == Unregister(Kind.NODE, NODE.id)


@pytest.mark.parametrize(
    "location",
    [
        f"/x-nmos/registration/v1.2/resource/nodes/{NODE.id}",
        f"/x-nmos/registration/v1.2/resource/nodes/{NODE.id}/",
        f"https://registry.example.com/x-nmos/registration/v1.2/resource/nodes/{NODE.id}",
    ],
)
@pytest.mark.parametrize("request_", [Register(NODE), Heartbeat(NODE.id)])
def test_409(request_: Request, location: str) -> None:
    """Node Encounters HTTP 409: unregister "using its registered API version", then register."""
    before = Standing() if isinstance(request_, Register) else REGISTERED
    standing = standing_after(before, request_, 409, location)
    step = next_step(standing, WANTED, 50.0)
    assert step == Unregister(Kind.NODE, NODE.id, "v1.2")
    cleared = standing_after(standing, Unregister(Kind.NODE, NODE.id, "v1.2"), 204)
    assert next_step(cleared, WANTED, 50.0) == Register(NODE)
    assert isinstance(outcome(cleared, Register(NODE), 409, location), Lost)


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        f"/x-nmos/registration/v1.2/resource/nodes/{DEVICE.id}",
        f"/x-nmos/registration/v1.2/resource/devices/{NODE.id}",
        f"/x-nmos/registration/v1.2/../../resource/nodes/{NODE.id}",
        f"/x-nmos/registration/v1.2?/resource/nodes/{NODE.id}",
        f"/x-nmos/registration/latest/resource/nodes/{NODE.id}",
        f"ftp://x/x-nmos/registration/v1.2/resource/nodes/{NODE.id}",
    ],
)
def test_a_409_that_leads_nowhere(location: str | None) -> None:
    """Only the path of our own Node is believed, and of it only the version."""
    assert isinstance(outcome(Standing(), Register(NODE), 409, location), Lost)


def test_201_for_a_change_of_the_node() -> None:
    """The registry had forgotten it, so everything else is registered again."""
    wanted = (changed(NODE), *WANTED[1:])
    standing = standing_after(REGISTERED, Register(changed(NODE)), 201)
    assert next_step(standing, wanted, 50.0) == Register(DEVICE)


# In general


@given(
    st.lists(
        st.sampled_from([None, 200, 201, 204, 400, 401, 403, 404, 409, 500]),
        min_size=1,
        max_size=40,
    ),
    st.lists(st.integers(0, len(WANTED) - 1), max_size=8),
)
def test_whatever_is_answered(statuses: Sequence[int | None], changes: list[int]) -> None:
    """Nothing is sent before its parent was taken, or again after it was rejected as it was."""
    standing, now, wanted = Standing(), 0.0, list(WANTED)
    taken: set[str] = set()
    rejected: set[tuple[str, str]] = set()
    for status in statuses:
        step = next_step(standing, wanted, now)
        if isinstance(step, Wait):
            assert now < step.until <= now + INTERVAL
            now = step.until
            if changes:
                number = changes.pop()
                wanted[number] = changed(wanted[number])
            continue
        if isinstance(step, Register):
            assert step.record.parent is None or step.record.parent in taken
            assert (step.record.id, step.record.version) not in rejected
        found = after(standing, step, RegistryAnswer(status), now, INTERVAL)
        if isinstance(found, Refused):
            return
        if isinstance(found, Lost):
            found = standing.at_another()
        if isinstance(step, Register) and status in {200, 201, 204}:
            taken.add(step.record.id)
        elif isinstance(step, Register) and step.record.kind is not Kind.NODE and status == 400:
            rejected.add((step.record.id, step.record.version))
        if found.phase is not Phase.REGISTERED:
            rejected.clear()
        standing = found
