"""The transport type websocket in the Connection API: IS-05, IS-07 "WebSocket Transport"."""

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from tests.example_node.support import (
    EVENTS,
    NODE,
    ORIGIN,
    SINGLE,
    UNKNOWN,
    ManualClock,
    assert_error,
)

WEBSOCKET = "urn:x-nmos:transport:websocket"
IMMEDIATE = {"activation": {"mode": "activate_immediate"}}
URI = "wss://other.example.com/x-nmos/events/v1.0/devices/1"


@pytest.fixture
def sender(node: ReferenceNode) -> str:
    """The URL path of the first Sender of events, tally, in the Connection API."""
    found = next(e for e, each in node.senders.items() if each.transport_type == WEBSOCKET)
    return f"{SINGLE}/senders/{found}"


@pytest.fixture
def receiver(node: ReferenceNode) -> str:
    """The URL path of the first Receiver of events, tally, in the Connection API."""
    found = next(e for e, each in node.receivers.items() if each.transport_type == WEBSOCKET)
    return f"{SINGLE}/receivers/{found}"


@pytest.fixture
def tally(node: ReferenceNode) -> str:
    """The id of the first Source of events."""
    return next(iter(node.events.sources))


def offered(node: ReferenceNode, source_id: str) -> dict[str, object]:
    """What a Sender of this Node offers, without authorization."""
    (device_id,) = node.resources.devices
    return {
        "connection_uri": f"{ORIGIN.replace('https', 'wss')}{EVENTS}/devices/{device_id}",
        "connection_authorization": False,
        "ext_is_07_rest_api_url": f"{ORIGIN}{EVENTS}/sources/{source_id}/",
        "ext_is_07_source_id": source_id,
    }


async def json(client: httpx2.AsyncClient, path: str) -> object:
    """GET what has to be there."""
    response = await client.get(path)
    assert response.status_code == 200, response.text
    document: object = response.json()
    return document


async def params(client: httpx2.AsyncClient, path: str) -> dict[str, object]:
    """The one leg of `staged` or `active`."""
    state = await json(client, path)
    assert isinstance(state, dict)
    (leg,) = state["transport_params"]
    assert isinstance(leg, dict)
    return leg


# Senders


async def test_a_sender_offers_one_value_of_each_parameter(
    client: httpx2.AsyncClient, node: ReferenceNode, sender: str, tally: str
) -> None:
    """Constraints list what is static: the address, the Source, whether it wants a token."""
    values = offered(node, tally)
    assert await json(client, f"{sender}/transporttype") == WEBSOCKET
    assert await json(client, f"{sender}/constraints") == [
        {name: {"enum": [value]} for name, value in values.items()}
    ]
    assert await params(client, f"{sender}/staged") == {
        **values,
        "connection_uri": "auto",
        "connection_authorization": "auto",
    }
    assert await params(client, f"{sender}/active") == values


async def test_senders_of_one_device_share_the_websocket(node: ReferenceNode) -> None:
    """One `connection_uri` for all, so that few connections are needed."""
    offers = [
        sender.active.transport_params[0].model_dump()
        for sender in node.senders.values()
        if sender.transport_type == WEBSOCKET
    ]
    assert len(offers) == len(node.events.sources)
    assert len({each["connection_uri"] for each in offers}) == 1
    assert {each["ext_is_07_source_id"] for each in offers} == set(node.events.sources)


async def test_authorization_is_offered_where_it_is_on(
    node_settings: Settings, settings: nmos_auth.Settings, clock: ManualClock
) -> None:
    """`auto` becomes true, and a client may stage nothing else."""
    app: FastAPI = create_app(node_settings, settings, clock)
    for sender in app.state.node.senders.values():
        if sender.transport_type == WEBSOCKET:
            (leg,) = sender.active.transport_params
            assert leg.connection_authorization is True
            assert sender.constraints[0]["connection_authorization"].enum == (True,)


@pytest.mark.parametrize("end", ["", "/"])
async def test_there_is_no_transport_file(
    client: httpx2.AsyncClient, sender: str, end: str
) -> None:
    """It is 404, and `manifest_href` null (IS-05 "Behaviour: WebSocket Transport Type")."""
    assert_error(await client.get(f"{sender}/transportfile{end}"), 404)
    resource = await json(client, f"{NODE}/senders/{sender.rsplit('/', 1)[1]}")
    assert isinstance(resource, dict)
    assert resource["manifest_href"] is None


async def test_what_is_offered_can_be_staged(
    client: httpx2.AsyncClient, node: ReferenceNode, sender: str, tally: str
) -> None:
    """Each parameter takes its one value, and those of the schema that are `auto`."""
    for name, value in offered(node, tally).items():
        patch = {"transport_params": [{name: value}]}
        assert (await client.patch(f"{sender}/staged", json=patch)).status_code == 200
    auto = {"connection_uri": "auto", "connection_authorization": "auto"}
    response = await client.patch(f"{sender}/staged", json={"transport_params": [auto]})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"connection_uri": URI},
        {"connection_uri": None},
        {"connection_uri": "https://node.example.com"},
        {"connection_authorization": True},
        {"connection_authorization": None},
        {"connection_authorization": "false"},
        {"connection_authorization": 0},
        {"ext_is_07_source_id": UNKNOWN},
        {"ext_is_07_source_id": None},
        {"ext_is_07_rest_api_url": "https://node.example.com/x-nmos/events/v1.0/"},
        # "The use of "auto" is not defined for this parameter"
        {"ext_is_07_source_id": "auto"},
        {"ext_is_07_rest_api_url": "auto"},
        {"ext_other": "x"},
        {"destination_port": 5004},
    ],
)
async def test_nothing_else_can_be_staged(
    client: httpx2.AsyncClient, sender: str, change: dict[str, object]
) -> None:
    """What is not offered is refused, and stages nothing."""
    before = await params(client, f"{sender}/staged")
    response = await client.patch(f"{sender}/staged", json={"transport_params": [change]})
    assert_error(response, 400)
    assert await params(client, f"{sender}/staged") == before


async def test_an_activation_shows_in_the_node_api(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """Active and a new version; no Receiver, for only a push has one (IS-04 "Behaviour: Nodes")."""
    await clock.advance("1:0")
    patch = {"master_enable": True, "receiver_id": UNKNOWN, **IMMEDIATE}
    assert (await client.patch(f"{sender}/staged", json=patch)).status_code == 200
    resource = await json(client, f"{NODE}/senders/{sender.rsplit('/', 1)[1]}")
    assert isinstance(resource, dict)
    assert resource["subscription"] == {"active": True, "receiver_id": None}
    assert resource["version"] == "1001:0"


# Receivers


async def test_a_receiver_is_not_configured_at_first(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """Nothing is constrained, and what is not configured is null."""
    assert await json(client, f"{receiver}/transporttype") == WEBSOCKET
    empty = {
        "connection_uri": None,
        "connection_authorization": "auto",
        "ext_is_07_rest_api_url": None,
        "ext_is_07_source_id": None,
    }
    assert await params(client, f"{receiver}/staged") == empty
    assert await params(client, f"{receiver}/active") == {
        **empty,
        "connection_authorization": False,
    }
    assert await json(client, f"{receiver}/constraints") == [{name: {} for name in empty}]


async def test_receivers_say_which_events_they_take(client: httpx2.AsyncClient) -> None:
    """IS-07 "Core models", Receivers: `event_types` beside `media_types`."""
    receivers = await json(client, f"{NODE}/receivers")
    assert isinstance(receivers, list)
    assert [each["caps"] for each in receivers if each["transport"] == WEBSOCKET] == [
        {"media_types": ["application/json"], "event_types": ["boolean"]},
        {"media_types": ["application/json"], "event_types": ["number/temperature/*"]},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"connection_uri": URI},
        {"connection_uri": "ws://192.0.2.1:8080/"},
        {"connection_uri": "wss://[2001:db8::1]:8443/x?y=z"},
        {"connection_uri": None},
        {"connection_authorization": True},
        {"connection_authorization": "auto"},
        {"ext_is_07_source_id": UNKNOWN},
        {"ext_is_07_source_id": None},
        {"ext_is_07_rest_api_url": "http://other.example.com/x-nmos/events/v1.0/sources/1"},
    ],
)
async def test_a_receiver_takes_what_the_schema_allows(
    client: httpx2.AsyncClient, receiver: str, change: dict[str, object]
) -> None:
    """Any WebSocket of any Node may be staged."""
    response = await client.patch(f"{receiver}/staged", json={"transport_params": [change]})
    assert response.status_code == 200, response.text
    assert (await params(client, f"{receiver}/staged")).items() >= change.items()


@pytest.mark.parametrize(
    "change",
    [
        {"connection_uri": "auto"},
        {"connection_uri": ""},
        {"connection_uri": "wss://"},
        {"connection_uri": "https://other.example.com/"},
        {"connection_uri": "wss://other.example.com:port/"},
        {"connection_uri": "wss://other.example.com:99999/"},
        {"connection_uri": "wss://[::1/"},
        # RFC 6455 section 3: no fragments; and no user's password in an API that others read
        {"connection_uri": f"{URI}#fragment"},
        {"connection_uri": "wss://user:secret@other.example.com/"},
        {"connection_uri": "wss://other.example.com/\r\nX-Header: 1"},
        {"connection_uri": "wss://other.example.com/ x"},
        {"connection_uri": "wss://other.example.com/é"},
        {"connection_uri": "wss://other.example.com/" + "x" * 4000},
        {"connection_uri": 5},
        {"connection_authorization": None},
        {"ext_is_07_source_id": "tally"},
        {"ext_is_07_rest_api_url": "ftp://other.example.com/"},
        {"ext_other": "x"},
        {"interface_ip": "auto"},
    ],
)
async def test_a_receiver_takes_nothing_else(
    client: httpx2.AsyncClient, receiver: str, change: dict[str, object]
) -> None:
    """What is not a WebSocket, Source or URL is refused before anything connects to it."""
    response = await client.patch(f"{receiver}/staged", json={"transport_params": [change]})
    assert_error(response, 400)


async def test_a_receiver_takes_no_transport_file(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """There are none of this type; null is not a fault."""
    none = {"transport_file": {"data": None, "type": None}}
    assert (await client.patch(f"{receiver}/staged", json=none)).status_code == 200
    file = {"transport_file": {"data": "v=0\r\n", "type": "application/sdp"}}
    assert_error(await client.patch(f"{receiver}/staged", json=file), 400)
