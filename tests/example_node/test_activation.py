"""Activation: immediate, scheduled, cancelled, locked; and what IS-04 shows of it."""

import asyncio

import httpx2
import pytest

from example_node.activation import ActivationRequest
from example_node.clock import TaiTime
from example_node.connection.models import SenderPatch, SenderState
from example_node.connection.sdp import Media
from example_node.connection.senders import RtpSender
from example_node.errors import NmosError
from example_node.interfaces import NetworkInterface
from example_node.node import ReferenceNode
from tests.example_node.support import NODE, UNKNOWN, ManualClock, assert_error

NO_ACTIVATION = {"mode": None, "requested_time": None, "activation_time": None}
IMMEDIATE = {"activation": {"mode": "activate_immediate"}}
Json = dict[str, object]


def relative(interval: str) -> Json:
    """A patch that asks for an activation after an interval."""
    return {"activation": {"mode": "activate_scheduled_relative", "requested_time": interval}}


def absolute(instant: str) -> Json:
    """A patch that asks for an activation at a time."""
    return {"activation": {"mode": "activate_scheduled_absolute", "requested_time": instant}}


async def get(client: httpx2.AsyncClient, path: str) -> Json:
    """Get a JSON object."""
    body = (await client.get(path)).json()
    assert isinstance(body, dict)
    return body


async def test_immediate_activation(client: httpx2.AsyncClient, sender: str) -> None:
    """The answer has the time of it, `active` the parameters, and `staged` forgets the mode."""
    patch = {
        "master_enable": True,
        "transport_params": [{"destination_ip": "239.1.2.3", "destination_port": 6000}],
        **IMMEDIATE,
    }
    response = await client.patch(f"{sender}/staged", json=patch)
    assert response.status_code == 200
    activation = {
        "mode": "activate_immediate",
        "requested_time": None,
        "activation_time": "1000:0",
    }
    assert response.json()["activation"] == activation
    active = await get(client, f"{sender}/active")
    assert active["activation"] == activation
    assert active["master_enable"] is True
    assert active["transport_params"] == [
        {
            "source_ip": "127.0.0.1",
            "destination_ip": "239.1.2.3",
            "source_port": 5004,
            "destination_port": 6000,
            "rtp_enabled": True,
        }
    ]
    staged = await get(client, f"{sender}/staged")
    assert staged == {**response.json(), "activation": NO_ACTIVATION}


async def test_auto_stays_staged_and_resolves_alike_each_time(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """`auto` stays in `staged`, is absent from `active`, and means the same at each activation."""
    for path in (sender, receiver):
        first = await client.patch(f"{path}/staged", json=IMMEDIATE)
        before = (await get(client, f"{path}/active"))["transport_params"]
        assert "auto" in first.json()["transport_params"][0].values()
        await client.patch(f"{path}/staged", json=IMMEDIATE)
        after = (await get(client, f"{path}/active"))["transport_params"]
        assert before == after
        assert "auto" not in str(after)


async def test_relative_activation(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """202, then nothing until the interval has passed, then active as asked."""
    await clock.advance("0:5")
    patch = {"transport_params": [{"destination_port": 6000}], **relative("2:0")}
    response = await client.patch(f"{sender}/staged", json=patch)
    assert response.status_code == 202
    scheduled = {
        "mode": "activate_scheduled_relative",
        "requested_time": "2:0",
        "activation_time": "1002:5",
    }
    assert response.json()["activation"] == scheduled
    assert response.json()["transport_params"][0]["destination_port"] == 6000

    await clock.advance("1:999999999")
    assert (await get(client, f"{sender}/staged"))["activation"] == scheduled
    assert (await get(client, f"{sender}/active"))["activation"] == NO_ACTIVATION

    await clock.advance("0:1")
    assert (await get(client, f"{sender}/staged"))["activation"] == NO_ACTIVATION
    active = await client.get(f"{sender}/active")
    assert active.json()["activation"] == scheduled
    assert active.json()["transport_params"][0]["destination_port"] == 6000


async def test_absolute_activation(
    client: httpx2.AsyncClient, receiver: str, clock: ManualClock
) -> None:
    """202 with the requested time as activation time; active tells when it really was."""
    response = await client.patch(f"{receiver}/staged", json=absolute("1010:0"))
    assert response.status_code == 202
    assert response.json()["activation"] == {
        "mode": "activate_scheduled_absolute",
        "requested_time": "1010:0",
        "activation_time": "1010:0",
    }
    await clock.advance("10:7")
    assert (await get(client, f"{receiver}/active"))["activation"] == {
        "mode": "activate_scheduled_absolute",
        "requested_time": "1010:0",
        "activation_time": "1010:7",
    }


async def test_an_absolute_time_that_has_passed_is_due_at_once(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """The clock is past the requested time already, so the activation does not wait."""
    response = await client.patch(f"{sender}/staged", json=absolute("5:0"))
    assert response.status_code == 202
    expected = {
        "mode": "activate_scheduled_absolute",
        "requested_time": "5:0",
        "activation_time": "1000:0",
    }
    assert response.json()["activation"] == expected
    await clock.settle()
    assert (await get(client, f"{sender}/active"))["activation"] == expected
    assert (await get(client, f"{sender}/staged"))["activation"] == NO_ACTIVATION


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"master_enable": True},
        {"transport_params": [{"destination_port": 7000}]},
        IMMEDIATE,
        relative("1:0"),
    ],
)
async def test_what_is_scheduled_locks(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock, patch: Json
) -> None:
    """Every PATCH but a cancellation is a 423 that changes nothing, while there is a schedule."""
    await client.patch(f"{sender}/staged", json=relative("2:0"))
    staged = await get(client, f"{sender}/staged")
    assert_error(await client.patch(f"{sender}/staged", json=patch), 423)
    assert await get(client, f"{sender}/staged") == staged
    await clock.advance("2:0")
    assert (await client.patch(f"{sender}/staged", json=patch)).status_code in {200, 202}


async def test_a_scheduled_activation_is_cancelled(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """The mode null unlocks; other changes of the same request are made; nothing happens later."""
    await client.patch(f"{sender}/staged", json=relative("2:0"))
    patch = {"activation": {"mode": None}, "transport_params": [{"destination_port": 7000}]}
    response = await client.patch(f"{sender}/staged", json=patch)
    assert response.status_code == 200
    assert response.json()["activation"] == NO_ACTIVATION
    assert response.json()["transport_params"][0]["destination_port"] == 7000
    await clock.advance("10:0")
    assert (await get(client, f"{sender}/active"))["activation"] == NO_ACTIVATION
    assert (await client.patch(f"{sender}/staged", json={})).status_code == 200


async def test_a_wrong_cancellation_cancels_nothing(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """A request that is refused leaves the scheduled activation as it was."""
    await client.patch(f"{sender}/staged", json=relative("2:0"))
    patch = {"activation": {"mode": None}, "transport_params": [{"destination_port": 7}]}
    assert_error(await client.patch(f"{sender}/staged", json=patch), 400)
    assert_error(await client.patch(f"{sender}/staged", json={}), 423)
    await clock.advance("2:0")
    mode = (await client.get(f"{sender}/active")).json()["activation"]["mode"]
    assert mode == "activate_scheduled_relative"


async def test_locks_are_each_ones_own(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """What one Sender has scheduled does not lock a Receiver."""
    await client.patch(f"{sender}/staged", json=relative("2:0"))
    assert (await client.patch(f"{receiver}/staged", json=IMMEDIATE)).status_code == 200


async def test_scheduled_activations_end_with_the_node(
    client: httpx2.AsyncClient, node: ReferenceNode, sender: str, clock: ManualClock
) -> None:
    """A Node that stops activates nothing any more."""
    await client.patch(f"{sender}/staged", json=relative("2:0"))
    node.stop()
    await clock.advance("2:0")
    assert (await get(client, f"{sender}/active"))["activation"] == NO_ACTIVATION


def is04(path: str) -> str:
    """The path of a Sender or Receiver in the Node API."""
    kind, resource_id = path.rsplit("/", 2)[1:]
    return f"{NODE}/{kind}/{resource_id}"


@pytest.mark.parametrize(
    ("destination", "receiver_id", "expected"),
    [
        ("239.1.2.3", None, None),
        ("239.1.2.3", UNKNOWN, None),
        ("10.0.0.1", UNKNOWN, UNKNOWN),
        ("10.0.0.1", None, None),
    ],
)
async def test_is04_shows_what_a_sender_does(
    client: httpx2.AsyncClient,
    sender: str,
    destination: str,
    receiver_id: str | None,
    expected: str | None,
) -> None:
    """`subscription` follows the activation; a Receiver is named for unicast only, while active."""
    patch = {
        "master_enable": True,
        "receiver_id": receiver_id,
        "transport_params": [{"destination_ip": destination}],
    }
    await client.patch(f"{sender}/staged", json=patch)
    assert (await get(client, is04(sender)))["subscription"] == {
        "active": False,
        "receiver_id": None,
    }
    await client.patch(f"{sender}/staged", json=IMMEDIATE)
    assert (await get(client, is04(sender)))["subscription"] == {
        "active": True,
        "receiver_id": expected,
    }
    await client.patch(f"{sender}/staged", json={"master_enable": False, **IMMEDIATE})
    assert (await get(client, is04(sender)))["subscription"] == {
        "active": False,
        "receiver_id": None,
    }


@pytest.mark.parametrize("sender_id", [UNKNOWN, None])
async def test_is04_shows_what_a_receiver_does(
    client: httpx2.AsyncClient, receiver: str, sender_id: str | None
) -> None:
    """`subscription` names the Sender only while the Receiver is active."""
    patch = {"master_enable": True, "sender_id": sender_id, **IMMEDIATE}
    await client.patch(f"{receiver}/staged", json=patch)
    assert (await get(client, is04(receiver)))["subscription"] == {
        "active": True,
        "sender_id": sender_id,
    }
    await client.patch(f"{receiver}/staged", json={"master_enable": False, **IMMEDIATE})
    assert (await get(client, is04(receiver)))["subscription"] == {
        "active": False,
        "sender_id": None,
    }


async def test_every_activation_gives_a_later_version(
    client: httpx2.AsyncClient, sender: str, receiver: str, clock: ManualClock
) -> None:
    """The version increases with each activation, of the same parameters too, and not otherwise."""
    for path in (sender, receiver):
        versions = [str((await get(client, is04(path)))["version"])]
        for patch in (IMMEDIATE, IMMEDIATE, relative("1:0")):
            await client.patch(f"{path}/staged", json={"master_enable": True})
            assert (await get(client, is04(path)))["version"] == versions[-1]
            await client.patch(f"{path}/staged", json=patch)
            await clock.advance("1:0")
            versions.append(str((await get(client, is04(path)))["version"]))
        times = [TaiTime.parse(version) for version in versions]
        assert times == sorted(set(times))


async def test_a_version_increases_while_the_clock_stands_still(
    client: httpx2.AsyncClient, sender: str
) -> None:
    """Two activations at the same instant have two versions."""
    await client.patch(f"{sender}/staged", json=IMMEDIATE)
    first = TaiTime.parse(str((await get(client, is04(sender)))["version"]))
    await client.patch(f"{sender}/staged", json=IMMEDIATE)
    second = TaiTime.parse(str((await get(client, is04(sender)))["version"]))
    assert second > first


class Equipment:
    """Equipment that takes its time, and can fail."""

    def __init__(self) -> None:
        self.applied: list[SenderState] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.fails = False

    async def apply(self, state: SenderState) -> None:
        """Make a state true once the equipment is ready."""
        await self.ready.wait()
        if self.fails:
            raise ConnectionError("the equipment does not answer")
        self.applied.append(state)


def make_sender(equipment: Equipment, clock: ManualClock) -> RtpSender:
    """A Sender that programs the equipment."""
    return RtpSender(
        UNKNOWN,
        name="A sender",
        media=Media("video", 96, "raw/90000", "width=1"),
        interfaces=[NetworkInterface("lo", "00-00-00-00-00-00", "127.0.0.1")],
        clock=clock,
        apply=equipment.apply,
    )


def activates(mode: str, *, port: int = 6000) -> SenderPatch:
    """A patch that changes a port and asks for an activation."""
    activation = ActivationRequest.model_validate({"mode": mode, "requested_time": "1:0"})
    return SenderPatch(activation=activation, transport_params=[{"destination_port": port}])


async def test_a_patch_waits_while_an_activation_is_made(clock: ManualClock) -> None:
    """A second PATCH is answered after the equipment has taken the first (IS-05 "Behaviour")."""
    equipment = Equipment()
    sender = make_sender(equipment, clock)
    equipment.ready.clear()
    first = asyncio.create_task(sender.patch(activates("activate_immediate"), clock.now()))
    await clock.settle()
    second = asyncio.create_task(sender.patch(SenderPatch(master_enable=True), clock.now()))
    await clock.settle()
    assert not first.done()
    assert not second.done()
    equipment.ready.set()
    assert (await first).state.master_enable is False
    assert (await second).state.master_enable is True
    assert [state.master_enable for state in equipment.applied] == [False]


async def test_a_cancellation_that_comes_too_late_waits_too(clock: ManualClock) -> None:
    """While a scheduled activation is being made, a cancellation waits and finds nothing."""
    equipment = Equipment()
    sender = make_sender(equipment, clock)
    await sender.patch(activates("activate_scheduled_relative"), clock.now())
    equipment.ready.clear()
    await clock.advance("1:0")
    cancels = SenderPatch(activation=ActivationRequest(mode=None))
    cancellation = asyncio.create_task(sender.patch(cancels, clock.now()))
    await clock.settle()
    assert not cancellation.done()
    equipment.ready.set()
    assert (await cancellation).status == 200
    assert len(equipment.applied) == 1
    assert sender.active.activation.mode == "activate_scheduled_relative"


async def test_equipment_that_fails_leaves_what_was_active(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An immediate activation that fails is a 500, a scheduled one is logged; `active` stays."""
    equipment = Equipment()
    sender = make_sender(equipment, clock)
    active = sender.active
    equipment.fails = True
    with pytest.raises(NmosError) as caught:
        await sender.patch(activates("activate_immediate"), clock.now())
    assert caught.value.status == 500
    assert "equipment" not in caught.value.message
    assert sender.active == active

    await sender.patch(activates("activate_scheduled_relative", port=7000), clock.now())
    await clock.advance("1:0")
    assert sender.active == active
    assert sender.staged.activation.mode is None
    assert "could not be activated" in caplog.text

    equipment.fails = False
    await sender.patch(activates("activate_immediate", port=8000), clock.now())
    assert sender.active == equipment.applied[-1]
