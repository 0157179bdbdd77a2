"""PATCH of `staged`: what it merges, what it refuses, and what the constraints say."""

import httpx2
import pytest

from tests.example_node.support import SINGLE, UNKNOWN, assert_error

NO_ACTIVATION = {"mode": None, "requested_time": None, "activation_time": None}
SENDER_STAGED = {
    "receiver_id": None,
    "master_enable": False,
    "activation": NO_ACTIVATION,
    "transport_params": [
        {
            "source_ip": "auto",
            "destination_ip": "auto",
            "source_port": "auto",
            "destination_port": "auto",
            "rtp_enabled": True,
        }
    ],
}
RECEIVER_STAGED = {
    "sender_id": None,
    "master_enable": False,
    "activation": NO_ACTIVATION,
    "transport_file": {"data": None, "type": None},
    "transport_params": [
        {
            "source_ip": None,
            "multicast_ip": None,
            "interface_ip": "auto",
            "destination_port": "auto",
            "rtp_enabled": True,
        }
    ],
}


async def test_base_resources_list_their_children(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """The levels of the Connection API are arrays of what lies below."""
    base = "/x-nmos/connection/v1.1"
    single = ["constraints/", "staged/", "active/"]
    for path, children in (
        (base, ["bulk/", "single/"]),
        (f"{base}/bulk", ["senders/", "receivers/"]),
        (SINGLE, ["senders/", "receivers/"]),
        (sender, [*single, "transportfile/", "transporttype/"]),
        (receiver, [*single, "transporttype/"]),
    ):
        assert (await client.get(path)).json() == children


async def test_what_is_staged_at_first(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """Everything is disabled, `auto` where that may be, and null where nothing is known."""
    assert (await client.get(f"{sender}/staged")).json() == SENDER_STAGED
    assert (await client.get(f"{receiver}/staged")).json() == RECEIVER_STAGED


async def test_active_has_no_auto(client: httpx2.AsyncClient, sender: str, receiver: str) -> None:
    """What is active at first is what is staged, with every `auto` resolved."""
    sending = (await client.get(f"{sender}/active")).json()
    (leg,) = sending.pop("transport_params")
    assert leg.pop("destination_ip").startswith("239.255.")
    assert leg == {
        "source_ip": "127.0.0.1",
        "source_port": 5004,
        "destination_port": 5004,
        "rtp_enabled": True,
    }
    assert sending == {k: v for k, v in SENDER_STAGED.items() if k != "transport_params"}
    receiving = (await client.get(f"{receiver}/active")).json()
    assert receiving["transport_params"] == [
        {
            "source_ip": None,
            "multicast_ip": None,
            "interface_ip": "127.0.0.1",
            "destination_port": 5004,
            "rtp_enabled": True,
        }
    ]


async def test_every_parameter_has_constraints(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """`constraints` has an entry for each parameter of `staged` and `active`, and addresses."""
    for path, interface in ((sender, "source_ip"), (receiver, "interface_ip")):
        (constraints,) = (await client.get(f"{path}/constraints")).json()
        for state in ("staged", "active"):
            (leg,) = (await client.get(f"{path}/{state}")).json()["transport_params"]
            assert leg.keys() == constraints.keys()
        assert constraints[interface] == {"enum": ["127.0.0.1"]}
        assert constraints["rtp_enabled"] == {}
        assert constraints["destination_port"] == {"minimum": 1024}


async def test_transport_types_have_no_subclassification(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """`transporttype` is the URN of RTP as a JSON string."""
    for path in (sender, receiver):
        assert (await client.get(f"{path}/transporttype")).json() == "urn:x-nmos:transport:rtp"


async def test_an_empty_patch_changes_nothing(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """`{}`, and a leg that is `{}`, are accepted and answered with all that is staged."""
    for path, staged in ((sender, SENDER_STAGED), (receiver, RECEIVER_STAGED)):
        empty: list[dict[str, object]] = [
            {},
            {"transport_params": [{}]},
            {"activation": {"mode": None}},
        ]
        for patch in empty:
            response = await client.patch(f"{path}/staged", json=patch)
            assert response.status_code == 200
            assert response.json() == staged


async def test_a_patch_changes_only_what_it_names(client: httpx2.AsyncClient, sender: str) -> None:
    """One parameter changes, whatever else was staged before, and nothing becomes active."""
    active = (await client.get(f"{sender}/active")).json()
    first = {"master_enable": True, "transport_params": [{"destination_port": 6000}]}
    assert (await client.patch(f"{sender}/staged", json=first)).status_code == 200
    second = {"receiver_id": UNKNOWN, "transport_params": [{"destination_ip": "239.1.2.3"}]}
    response = await client.patch(f"{sender}/staged/", json=second)
    assert response.json() == {
        **SENDER_STAGED,
        "receiver_id": UNKNOWN,
        "master_enable": True,
        "transport_params": [
            {
                "source_ip": "auto",
                "destination_ip": "239.1.2.3",
                "source_port": "auto",
                "destination_port": 6000,
                "rtp_enabled": True,
            }
        ],
    }
    assert (await client.get(f"{sender}/staged")).json() == response.json()
    assert (await client.get(f"{sender}/active")).json() == active


@pytest.mark.parametrize(("end", "name"), [("sender", "receiver_id"), ("receiver", "sender_id")])
async def test_the_other_end_is_set_and_unset(
    client: httpx2.AsyncClient, request: pytest.FixtureRequest, end: str, name: str
) -> None:
    """The id of the Sender or Receiver at the other end can be set, and set to null."""
    path = f"{request.getfixturevalue(end)}/staged"
    for value in (UNKNOWN, None):
        response = await client.patch(path, json={name: value})
        assert response.status_code == 200
        assert response.json()[name] == value


RIGHT_FOR_SENDERS: list[dict[str, object]] = [
    {"source_ip": "127.0.0.1"},
    {"source_ip": "auto"},
    {"destination_ip": "10.0.0.1"},
    {"destination_ip": "2001:db8::1"},
    {"source_port": 1024},
    {"destination_port": 65535},
    {"destination_port": "auto"},
    {"rtp_enabled": False},
]


async def test_sender_parameters_can_be(client: httpx2.AsyncClient, sender: str) -> None:
    """Values that the schema and the constraints allow are staged as they are."""
    for leg in RIGHT_FOR_SENDERS:
        response = await client.patch(f"{sender}/staged", json={"transport_params": [leg]})
        assert response.status_code == 200, leg
        assert response.json()["transport_params"][0].items() >= leg.items()


WRONG_FOR_SENDERS: list[dict[str, object]] = [
    {"bad": "data"},
    {"master_enable": "true"},
    {"master_enable": 1},
    {"master_enable": None},
    {"receiver_id": "not-a-uuid"},
    {"receiver_id": UNKNOWN.upper().replace("1", "A")},
    {"receiver_id": UNKNOWN + "\n"},
    {"receiver_id": 5},
    {"sender_id": UNKNOWN},
    {"transport_file": {"data": None, "type": None}},
    {"transport_params": None},
    {"transport_params": {}},
    {"transport_params": []},
    {"transport_params": [{}, {}]},
    {"transport_params": ["auto"]},
    {"transport_params": [{"interface_ip": "auto"}]},
    {"transport_params": [{"fec_enabled": False}]},
    {"transport_params": [{"source_ip": "192.0.2.77"}]},
    {"transport_params": [{"source_ip": None}]},
    {"transport_params": [{"source_ip": 5}]},
    {"transport_params": [{"destination_ip": "239.1.2"}]},
    {"transport_params": [{"destination_ip": "fe80::1%eth0"}]},
    {"transport_params": [{"destination_ip": "AUTO"}]},
    {"transport_params": [{"destination_port": "5004"}]},
    {"transport_params": [{"destination_port": 5004.0}]},
    {"transport_params": [{"destination_port": True}]},
    {"transport_params": [{"destination_port": None}]},
    {"transport_params": [{"destination_port": [5004]}]},
    {"transport_params": [{"destination_port": 0}]},
    {"transport_params": [{"destination_port": -1}]},
    {"transport_params": [{"destination_port": 65536}]},
    {"transport_params": [{"destination_port": 1023}]},
    {"transport_params": [{"source_port": 0}]},
    {"transport_params": [{"rtp_enabled": "auto"}]},
    {"transport_params": [{"rtp_enabled": 0}]},
    {"activation": None},
    {"activation": {}},
    {"activation": {"mode": "activate_now"}},
    {"activation": {"mode": "activate_immediate", "when": "now"}},
    {"activation": {"mode": None, "activation_time": None}},
    {"activation": {"mode": "activate_scheduled_relative"}},
    {"activation": {"mode": "activate_scheduled_absolute", "requested_time": None}},
    {"activation": {"mode": "activate_scheduled_relative", "requested_time": "soon"}},
    {"activation": {"mode": "activate_scheduled_relative", "requested_time": "-1:0"}},
    {"activation": {"mode": "activate_scheduled_relative", "requested_time": 5}},
]


async def test_what_the_schema_or_constraints_forbid_is_400(
    client: httpx2.AsyncClient, sender: str
) -> None:
    """A wrong patch is refused whole: what it says besides is not staged either."""
    good = {"master_enable": True, "activation": {"mode": "activate_immediate"}}
    for patch in WRONG_FOR_SENDERS:
        assert_error(await client.patch(f"{sender}/staged", json={**good, **patch}), 400)
        assert (await client.get(f"{sender}/staged")).json() == SENDER_STAGED, patch
        assert (await client.get(f"{sender}/active")).json()["master_enable"] is False, patch


WRONG_FOR_RECEIVERS: list[dict[str, object]] = [
    {"receiver_id": UNKNOWN},
    {"transport_params": [{"destination_ip": "239.1.2.3"}]},
    {"transport_params": [{"source_ip": "auto"}]},
    {"transport_params": [{"multicast_ip": "auto"}]},
    {"transport_params": [{"multicast_ip": "10.0.0.1"}]},
    {"transport_params": [{"interface_ip": None}]},
    {"transport_params": [{"interface_ip": "192.0.2.77"}]},
    {"transport_params": [{"destination_port": 80}]},
    {"transport_file": None},
    {"transport_file": {"data": None}},
    {"transport_file": {"data": None, "type": "application/sdp"}},
    {"transport_file": {"data": "v=0", "type": None}},
]


async def test_receivers_refuse_what_is_wrong_too(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """A Receiver's own schema and constraints hold, and nothing is staged."""
    for patch in WRONG_FOR_RECEIVERS:
        assert_error(await client.patch(f"{receiver}/staged", json=patch), 400)
        assert (await client.get(f"{receiver}/staged")).json() == RECEIVER_STAGED, patch


async def test_an_error_says_where_and_what(client: httpx2.AsyncClient, sender: str) -> None:
    """The message names the parameter as a client would write it."""
    for patch, message in (
        (
            {"transport_params": [{"destination_port": 0}]},
            "transport_params[0].destination_port: must be a port number from 1 to 65535 or auto",
        ),
        (
            {"transport_params": [{"destination_port": 80}]},
            "transport_params[0].destination_port: is constrained to minimum 1024",
        ),
        ({"bad": 1}, "bad: Extra inputs are not permitted"),
    ):
        response = await client.patch(f"{sender}/staged", json=patch)
        assert response.json()["error"] == message
