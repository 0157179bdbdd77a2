"""The Channel Mapping API: Inputs and Outputs, activations, and what IS-04 shows of them."""

import asyncio
import json
import logging
from collections.abc import Callable

import httpx2
import pytest

from example_node.activation import ActivationMode
from example_node.channel_mapping.matrix import Matrix
from example_node.channel_mapping.models import (
    UNROUTED,
    Action,
    MapActivationPost,
    MapActivationRequest,
    Route,
)
from example_node.clock import TaiTime
from example_node.errors import LockedError, NmosError, NotFoundError
from example_node.node import ReferenceNode
from tests.example_node.support import MAPPING, NODE, UNKNOWN, ManualClock, assert_error

ACTIVE = f"{MAPPING}/map/active"
ACTIVATIONS = f"{MAPPING}/map/activations"
NO_ACTIVATION = {"mode": None, "requested_time": None, "activation_time": None}
SILENCE = {"input": None, "channel_index": None}
Json = dict[str, object]
Ask = Callable[[Json], Json]


def route(name: str, index: int) -> Json:
    """A channel of an Input."""
    return {"input": name, "channel_index": index}


LEFT, RIGHT = route("receiver", 0), route("receiver", 1)
STEREO: Json = {"sender": {"0": LEFT, "1": RIGHT}}


def immediate(action: Json) -> Json:
    """A body that asks for an immediate activation."""
    return {"activation": {"mode": "activate_immediate"}, "action": action}


def relative(action: Json, interval: str = "2:0") -> Json:
    """A body that asks for an activation after an interval."""
    activation = {"mode": "activate_scheduled_relative", "requested_time": interval}
    return {"activation": activation, "action": action}


def absolute(action: Json, instant: str) -> Json:
    """A body that asks for an activation at a time."""
    activation = {"mode": "activate_scheduled_absolute", "requested_time": instant}
    return {"activation": activation, "action": action}


async def get(client: httpx2.AsyncClient, path: str) -> dict[str, Json]:
    """Get a JSON object of objects."""
    response = await client.get(path)
    assert response.status_code == 200
    body = response.json()
    assert isinstance(body, dict)
    return body


async def last_activation(client: httpx2.AsyncClient) -> Json:
    """The activation that the active map shows."""
    return (await get(client, ACTIVE))["activation"]


async def active_map(client: httpx2.AsyncClient) -> dict[str, dict[str, Json]]:
    """The active map itself."""
    found = (await client.get(ACTIVE)).json()["map"]
    assert isinstance(found, dict)
    return found


async def post(client: httpx2.AsyncClient, body: Json, status: int) -> tuple[str, dict[str, Json]]:
    """Ask for an activation that is accepted, and return its id and itself."""
    response = await client.post(ACTIVATIONS, json=body)
    assert response.status_code == status, response.text
    ((activation_id, activation),) = response.json().items()
    return activation_id, activation


async def test_base_resources_list_their_children(client: httpx2.AsyncClient) -> None:
    """The levels of the API are arrays of what lies below, with and without a last slash."""
    for path, children in (
        ("", ["inputs/", "outputs/", "map/", "io/"]),
        ("/inputs", ["receiver/", "line-in/", "return/"]),
        ("/inputs/receiver", ["properties/", "parent/", "channels/", "caps/"]),
        ("/outputs", ["sender/", "monitor/"]),
        ("/outputs/sender", ["properties/", "sourceid/", "channels/", "caps/"]),
        ("/map", ["activations/", "active/"]),
    ):
        for slash in ("", "/"):
            response = await client.get(f"{MAPPING}{path}{slash}")
            assert (response.status_code, response.json()) == (200, children)


async def test_io_shows_all_inputs_and_outputs(client: httpx2.AsyncClient) -> None:
    """`io` has what the resources of each Input and Output have, under the schema's names."""
    io = await get(client, f"{MAPPING}/io")
    assert io.keys() == {"inputs", "outputs"}
    for kind, names in (
        ("inputs", ("properties", "parent", "channels", "caps")),
        ("outputs", ("properties", "sourceid", "channels", "caps")),
    ):
        for each in (await client.get(f"{MAPPING}/{kind}")).json():
            shown = io[kind].pop(each.removesuffix("/"))
            assert shown == {
                {"sourceid": "source_id"}.get(name, name): (
                    await client.get(f"{MAPPING}/{kind}/{each}{name}/")
                ).json()
                for name in names
            }
    assert io == {"inputs": {}, "outputs": {}}


async def test_inputs_and_outputs_are_those_of_is04(client: httpx2.AsyncClient) -> None:
    """Parents and Sources are in the Node API, and a Source has the channels of its Output."""
    io = (await client.get(f"{MAPPING}/io")).json()
    for each in io["inputs"].values():
        if each["parent"]["id"] is not None:
            kind = f"{each['parent']['type']}s"
            found = await client.get(f"{NODE}/{kind}/{each['parent']['id']}")
            assert found.json()["format"] == "urn:x-nmos:format:audio"
    for each in io["outputs"].values():
        if each["source_id"] is not None:
            source = (await client.get(f"{NODE}/sources/{each['source_id']}")).json()
            assert [channel["label"] for channel in source["channels"]] == [
                channel["label"] for channel in each["channels"]
            ]


async def test_nothing_can_be_routed_back_to_where_it_came_from(node: ReferenceNode) -> None:
    """An Input that is the Source of an Output is not routable to it (IS-08 "Behaviour")."""
    loops = [
        (output.caps.routable_inputs, input_id)
        for output in node.matrix.outputs.values()
        for input_id, each in node.matrix.inputs.items()
        if each.parent.type == "source" and each.parent.id == output.source_id
    ]
    assert loops
    assert all(routable is not None and name not in routable for routable, name in loops)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/inputs/nothing",
        "/inputs/sender/caps",
        "/outputs/nothing/sourceid",
        "/outputs/sender/parent",
        "/map/active/nothing",
        f"/map/activations/{UNKNOWN}",
    ],
)
async def test_what_is_not_there_is_not_found(client: httpx2.AsyncClient, path: str) -> None:
    """An unknown name at any level is a 404."""
    assert_error(await client.get(f"{MAPPING}{path}"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/io", "GET, HEAD, OPTIONS"),
        ("PUT", "/map/active", "GET, HEAD, OPTIONS"),
        ("PATCH", "/inputs/receiver/caps", "GET, HEAD, OPTIONS"),
        ("DELETE", "/map/activations", "GET, HEAD, POST, OPTIONS"),
        ("POST", f"/map/activations/{UNKNOWN}", "GET, HEAD, DELETE, OPTIONS"),
    ],
)
async def test_other_methods_are_refused(
    client: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    """The API is read-only but for activations, and says so."""
    response = await client.request(method, f"{MAPPING}{path}", json={})
    assert_error(response, 405)
    assert response.headers["allow"] == allowed


async def test_everything_is_silent_at_first(client: httpx2.AsyncClient) -> None:
    """No activation was made, none is scheduled, and every channel of every Output is null."""
    assert await get(client, ACTIVE) == {
        "activation": NO_ACTIVATION,
        "map": {
            "sender": {"0": SILENCE, "1": SILENCE},
            "monitor": {str(index): SILENCE for index in range(4)},
        },
    }
    assert await get(client, ACTIVATIONS) == {}


async def test_immediate_activation(client: httpx2.AsyncClient) -> None:
    """The answer has the time of it, the map the routes, and it is never among the scheduled."""
    body = immediate(STEREO)
    body["activation"] = {"mode": "activate_immediate", "requested_time": "7:0"}
    activation_id, activated = await post(client, body, 200)
    activation = {
        "mode": "activate_immediate",
        "requested_time": None,
        "activation_time": "1000:0",
    }
    assert activated == {"activation": activation, "action": STEREO}
    active = await get(client, ACTIVE)
    assert active["activation"] == activation
    assert active["map"]["sender"] == STEREO["sender"]
    assert await get(client, f"{ACTIVE}/sender") == {"map": STEREO}
    assert await get(client, ACTIVATIONS) == {}
    assert_error(await client.get(f"{ACTIVATIONS}/{activation_id}"), 404)


async def test_only_what_is_named_changes(client: httpx2.AsyncClient) -> None:
    """Other channels and Outputs stay as they are, and null makes a channel silent."""
    await post(client, immediate({**STEREO, "monitor": {"3": LEFT}}), 200)
    await post(client, immediate({"sender": {"1": SILENCE}, "monitor": {"0": RIGHT}}), 200)
    assert await active_map(client) == {
        "sender": {"0": LEFT, "1": SILENCE},
        "monitor": {"0": RIGHT, "1": SILENCE, "2": SILENCE, "3": LEFT},
    }


async def test_relative_activation(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """202, then listed until the interval has passed, then active as asked."""
    await clock.advance("0:5")
    activation_id, scheduled = await post(client, relative(STEREO), 202)
    activation = {
        "mode": "activate_scheduled_relative",
        "requested_time": "2:0",
        "activation_time": "1002:5",
    }
    assert scheduled == {"activation": activation, "action": STEREO}
    await clock.advance("1:999999999")
    assert await get(client, ACTIVATIONS) == {activation_id: scheduled}
    assert await get(client, f"{ACTIVATIONS}/{activation_id}") == scheduled
    assert await last_activation(client) == NO_ACTIVATION
    assert (await active_map(client))["sender"]["0"] == SILENCE

    await clock.advance("0:1")
    assert await get(client, ACTIVATIONS) == {}
    active = await get(client, ACTIVE)
    assert active["activation"] == activation
    assert active["map"]["sender"] == STEREO["sender"]


@pytest.mark.parametrize(
    ("requested", "announced", "made"),
    [("1010:0", "1010:0", "1010:7"), ("5:0", "1000:0", "1000:0")],
)
async def test_absolute_activation(
    client: httpx2.AsyncClient, clock: ManualClock, requested: str, announced: str, made: str
) -> None:
    """Due at the requested time, at once if that has passed; active tells when it really was."""
    _, scheduled = await post(client, absolute(STEREO, requested), 202)
    activation = {
        "mode": "activate_scheduled_absolute",
        "requested_time": requested,
        "activation_time": announced,
    }
    assert scheduled["activation"] == activation
    await clock.advance("10:7" if made == "1010:7" else "0:0")
    assert await last_activation(client) == {**activation, "activation_time": made}


@pytest.mark.parametrize("ask", [immediate, relative])
async def test_what_is_scheduled_locks_its_outputs(
    client: httpx2.AsyncClient, clock: ManualClock, ask: Ask
) -> None:
    """A change of any of its channels is a 423 that changes nothing, until it was made."""
    activation_id, _ = await post(client, relative({"sender": {"0": LEFT}}), 202)
    locked = ask({"monitor": {"0": LEFT}, "sender": {"1": RIGHT}})
    response = await client.post(ACTIVATIONS, json=locked)
    assert_error(response, 423)
    assert "sender" in response.json()["error"]
    assert (await active_map(client))["monitor"]["0"] == SILENCE
    assert (await get(client, ACTIVATIONS)).keys() == {activation_id}
    await clock.advance("2:0")
    assert (await client.post(ACTIVATIONS, json=locked)).status_code in {200, 202}


async def test_other_outputs_stay_free(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """Activations of different Outputs are scheduled side by side, and each is made in its time."""
    first, _ = await post(client, relative(STEREO, "2:0"), 202)
    second, _ = await post(client, relative({"monitor": {"0": LEFT}}, "1:0"), 202)
    assert first != second
    assert (await get(client, ACTIVATIONS)).keys() == {first, second}
    await clock.advance("1:0")
    assert (await get(client, ACTIVATIONS)).keys() == {first}
    await post(client, immediate({"monitor": {"1": LEFT}}), 200)
    await clock.advance("1:0")
    assert await active_map(client) == {
        **STEREO,
        "monitor": {"0": LEFT, "1": LEFT, "2": SILENCE, "3": SILENCE},
    }


async def test_a_scheduled_activation_is_cancelled(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """DELETE is a 204 without a body; it unlocks, nothing happens later, and again it is a 404."""
    activation_id, _ = await post(client, relative(STEREO), 202)
    response = await client.delete(f"{ACTIVATIONS}/{activation_id}")
    assert (response.status_code, response.content) == (204, b"")
    assert_error(await client.get(f"{ACTIVATIONS}/{activation_id}"), 404)
    assert_error(await client.delete(f"{ACTIVATIONS}/{activation_id}"), 404)
    await clock.advance("5:0")
    assert await last_activation(client) == NO_ACTIVATION
    await post(client, immediate(STEREO), 200)


async def test_what_was_made_cannot_be_cancelled(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """An activation that has been completed no longer exists."""
    activation_id, _ = await post(client, relative(STEREO), 202)
    await clock.advance("2:0")
    assert_error(await client.delete(f"{ACTIVATIONS}/{activation_id}"), 404)
    assert (await active_map(client))["sender"] == STEREO["sender"]


async def test_scheduled_activations_end_with_the_node(
    client: httpx2.AsyncClient, node: ReferenceNode, clock: ManualClock
) -> None:
    """A Node that stops changes nothing any more."""
    await post(client, relative(STEREO), 202)
    node.stop()
    await clock.advance("2:0")
    assert await last_activation(client) == NO_ACTIVATION


MALFORMED: list[object] = [
    None,
    [],
    {},
    {"activation": {"mode": "activate_immediate"}},
    {"action": STEREO},
    {**immediate(STEREO), "extra": 1},
    immediate({}),
    immediate({"sender": {}}),
    immediate({"sender": []}),
    immediate({"sender": {"0": None}}),
    immediate({"sender": {"0": {}}}),
    immediate({"sender": {"0": {"input": "receiver"}}}),
    immediate({"sender": {"0": {"input": None}}}),
    immediate({"sender": {"0": {**LEFT, "gain": 1}}}),
    immediate({"sender": {"0": {"input": None, "channel_index": 0}}}),
    immediate({"sender": {"0": {"input": "receiver", "channel_index": None}}}),
    immediate({"sender": {"0": {"input": "receiver", "channel_index": "0"}}}),
    immediate({"sender": {"0": {"input": "receiver", "channel_index": 0.5}}}),
    immediate({"sender": {"0": {"input": "receiver", "channel_index": True}}}),
    immediate({"sender": {"0": {"input": 1, "channel_index": 0}}}),
    relative(STEREO, "soon"),
    relative(STEREO, "-1:0"),
    {**relative(STEREO), "activation": {"mode": "activate_scheduled_relative"}},
    {**relative(STEREO), "activation": {"mode": None}},
    {**relative(STEREO), "activation": {"mode": "activate_later", "requested_time": "1:0"}},
    {**relative(STEREO), "activation": {"mode": "activate_immediate", "when": "1:0"}},
    {**relative(STEREO), "activation": {"requested_time": "1:0"}},
]

# With what the error says.
NOT_PERMITTED = [
    ({"nothing": {"0": LEFT}}, "no Output 'nothing'"),
    ({"sender": {"2": LEFT}}, "sender: there is no channel '2'"),
    ({"sender": {"00": LEFT}}, "sender: there is no channel '00'"),
    ({"sender": {"-1": LEFT}}, "sender: there is no channel '-1'"),
    ({"sender": {"\N{ARABIC-INDIC DIGIT ZERO}": LEFT}}, "sender: there is no channel"),
    ({"\ud800": {"0": LEFT}}, "no Output"),
    ({"sender": {"0": route("nothing", 0)}}, "sender.0.input: this Output's routable_inputs"),
    ({"sender": {"0": route("return", 0)}}, "sender.0.input: this Output's routable_inputs"),
    ({"monitor": {"0": route("nothing", 0)}}, "monitor.0.input: there is no such Input"),
    ({"monitor": {"0": route("receiver", 2)}}, "monitor.0.channel_index: receiver has no such"),
    ({"monitor": {"0": route("receiver", -1)}}, "monitor.0.channel_index: receiver has no such"),
    ({"monitor": {"0": route("line-in", 0)}}, "line-in has block_size 2"),
    (
        {"monitor": {str(to): route("line-in", of) for to, of in enumerate((2, 3, 0, 1))}},
        "line-in has reordering false",
    ),
]


@pytest.mark.parametrize("body", MALFORMED)
async def test_a_malformed_request_changes_nothing(
    client: httpx2.AsyncClient, body: object
) -> None:
    """What does not meet the schema is a 400."""
    assert_error(await client.post(ACTIVATIONS, json=body), 400)
    assert await last_activation(client) == NO_ACTIVATION
    assert await get(client, ACTIVATIONS) == {}


@pytest.mark.parametrize(("action", "message"), NOT_PERMITTED)
@pytest.mark.parametrize("ask", [immediate, relative])
async def test_what_is_not_permitted_changes_nothing(
    client: httpx2.AsyncClient, action: Json, message: str, ask: Ask
) -> None:
    """What does not fit Inputs, Outputs or constraints is a 400 that tells what, at once."""
    # Not httpx's own encoder, which refuses halves of surrogate pairs.
    body = json.dumps(ask({"monitor": {"3": LEFT}, **action}))
    response = await client.post(
        ACTIVATIONS, content=body, headers={"Content-Type": "application/json"}
    )
    assert_error(response, 400)
    assert message in response.json()["error"]
    assert (await active_map(client))["monitor"]["3"] == SILENCE
    assert await get(client, ACTIVATIONS) == {}


async def test_constraints_look_at_the_whole_output(client: httpx2.AsyncClient) -> None:
    """What a request leaves out counts too: a block cannot be broken afterwards."""
    pair = {"0": route("line-in", 2), "1": route("line-in", 3)}
    await post(client, immediate({"sender": pair}), 200)
    assert_error(await client.post(ACTIVATIONS, json=immediate({"sender": {"1": RIGHT}})), 400)
    await post(client, immediate(STEREO), 200)


async def versions(client: httpx2.AsyncClient) -> dict[str, TaiTime]:
    """The versions of everything that the Node API shows, by id."""
    return {
        each["id"]: TaiTime.parse(each["version"])
        for kind in ("devices", "sources", "flows", "senders", "receivers")
        for each in (await client.get(f"{NODE}/{kind}")).json()
    }


@pytest.mark.parametrize(("output", "has_source"), [("sender", True), ("monitor", False)])
async def test_is04_shows_that_the_map_changed(
    client: httpx2.AsyncClient, clock: ManualClock, output: str, *, has_source: bool
) -> None:
    """The Device, and the Source of a changed Output, get a later version when it is changed."""
    source_id = (await client.get(f"{MAPPING}/outputs/{output}/sourceid")).json()
    changing = {each["id"] for each in (await client.get(f"{NODE}/devices")).json()}
    changing |= {source_id} if has_source else set()
    before = await versions(client)
    for body in (immediate({output: {"0": LEFT}}), relative({output: {"0": SILENCE}})):
        response = await client.post(ACTIVATIONS, json=body)
        if response.status_code == 202:
            assert await versions(client) == before
            await clock.advance("2:0")
        after = await versions(client)
        assert {each for each in after if after[each] > before[each]} == changing
        before = after


class Equipment:
    """Equipment that takes its time, and can fail."""

    def __init__(self) -> None:
        self.applied: list[Action] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.fails = False

    async def apply(self, action: Action) -> None:
        """Make routes true once the equipment is ready."""
        await self.ready.wait()
        if self.fails:
            raise ConnectionError("the equipment does not answer")
        self.applied.append(action)


@pytest.fixture
def equipment() -> Equipment:
    """What the matrix programs."""
    return Equipment()


@pytest.fixture
def matrix(equipment: Equipment, node: ReferenceNode, clock: ManualClock) -> Matrix:
    """A matrix with the Node's Inputs and Outputs that programs the equipment."""
    return Matrix(node.matrix.inputs_and_outputs, clock=clock, apply=equipment.apply)


def activates(mode: ActivationMode, output: str = "monitor") -> MapActivationPost:
    """A request that routes one channel."""
    return MapActivationPost(
        activation=MapActivationRequest(mode=mode, requested_time="1:0"),
        action={output: {"0": Route(input="receiver", channel_index=0)}},
    )


async def test_a_request_waits_while_an_activation_is_made(
    matrix: Matrix, equipment: Equipment, clock: ManualClock
) -> None:
    """A second POST is answered after the equipment has taken the first."""
    equipment.ready.clear()
    posts = [
        asyncio.create_task(matrix.activate(activates("activate_immediate", each), clock.now()))
        for each in ("monitor", "sender")
    ]
    await clock.settle()
    assert not any(each.done() for each in posts)
    assert matrix.active.map["monitor"]["0"] == UNROUTED
    equipment.ready.set()
    await asyncio.gather(*posts)
    assert [list(action) for action in equipment.applied] == [["monitor"], ["sender"]]


async def test_a_cancellation_that_comes_too_late_finds_nothing(
    matrix: Matrix, equipment: Equipment, clock: ManualClock
) -> None:
    """While a scheduled activation is being made, a DELETE waits and is then a 404."""
    (activation_id,) = await matrix.activate(activates("activate_scheduled_relative"), clock.now())
    equipment.ready.clear()
    await clock.advance("1:0")
    assert matrix.activations == {}
    cancellation = asyncio.create_task(matrix.cancel(activation_id))
    await clock.settle()
    assert not cancellation.done()
    equipment.ready.set()
    with pytest.raises(NotFoundError):
        await cancellation
    assert len(equipment.applied) == 1


async def test_a_cancellation_just_before_its_time_holds(
    matrix: Matrix, equipment: Equipment, clock: ManualClock
) -> None:
    """What is due while another activation is being made can still be cancelled."""
    (activation_id,) = await matrix.activate(activates("activate_scheduled_relative"), clock.now())
    equipment.ready.clear()
    busy = asyncio.create_task(
        matrix.activate(activates("activate_immediate", "sender"), clock.now())
    )
    await clock.settle()
    cancellation = asyncio.create_task(matrix.cancel(activation_id))
    await clock.advance("1:0")
    equipment.ready.set()
    await asyncio.gather(busy, cancellation)
    await clock.settle()
    assert [list(action) for action in equipment.applied] == [["sender"]]


async def test_a_failed_activation_leaves_the_map(
    matrix: Matrix, equipment: Equipment, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An immediate one is an error; a scheduled one is logged, and its Output is free again."""
    equipment.fails = True
    before = matrix.active
    with caplog.at_level(logging.CRITICAL), pytest.raises(NmosError) as failure:
        await matrix.activate(activates("activate_immediate"), clock.now())
    assert failure.value.status == 500
    await matrix.activate(activates("activate_scheduled_relative"), clock.now())
    with pytest.raises(LockedError):
        await matrix.activate(activates("activate_immediate"), clock.now())
    with caplog.at_level(logging.WARNING):
        await clock.advance("1:0")
    assert "the scheduled activation" in caplog.text
    assert matrix.active == before
    equipment.fails = False
    await matrix.activate(activates("activate_immediate"), clock.now())
    assert matrix.active.map["monitor"]["0"] == Route(input="receiver", channel_index=0)
