"""The Node API: what IS-04 v1.3 demands of the resources and of how they belong together."""

import re

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app
from example_node.clock import TaiTime
from example_node.resources import RTP
from tests.example_node.support import HOST, NODE, ORIGIN, ManualClock, running

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KINDS = ("devices", "sources", "flows", "senders", "receivers")
CORE = {"id", "version", "label", "description", "tags"}

# The attributes that the schemas require of each kind, besides the core.
REQUIRED = {
    "self": {"href", "caps", "api", "services", "clocks", "interfaces"},
    "devices": {"type", "node_id", "senders", "receivers", "controls"},
    "sources": {"caps", "device_id", "parents", "clock_name", "format"},
    "flows": {"source_id", "device_id", "parents", "format", "media_type"},
    "senders": {
        "flow_id",
        "transport",
        "device_id",
        "manifest_href",
        "interface_bindings",
        "subscription",
    },
    "receivers": {
        "device_id",
        "transport",
        "interface_bindings",
        "subscription",
        "format",
        "caps",
    },
}

Resource = dict[str, object]


@pytest.fixture
async def resources(client: httpx2.AsyncClient) -> dict[str, list[Resource]]:
    """Everything that the Node API lists, by kind."""
    found = {kind: (await client.get(f"{NODE}/{kind}")).json() for kind in KINDS}
    return {"self": [(await client.get(f"{NODE}/self")).json()], **found}


def by_format(resources: list[Resource], name: str) -> Resource:
    """Find the one resource of a format."""
    (found,) = [each for each in resources if each["format"] == f"urn:x-nmos:format:{name}"]
    return found


async def test_base_resources_list_their_children(client: httpx2.AsyncClient) -> None:
    """Every level above the resources is an array of what lies below."""
    for path, children in (
        ("/", ["x-nmos/"]),
        ("/x-nmos", ["channelmapping/", "connection/", "events/", "node/"]),
        ("/x-nmos/node", ["v1.3/"]),
        ("/x-nmos/connection", ["v1.1/"]),
        ("/x-nmos/channelmapping", ["v1.0/"]),
        ("/x-nmos/events", ["v1.0/"]),
        ("/x-nmos/events/v1.0", ["sources/"]),
        (NODE, ["self/", "sources/", "flows/", "devices/", "senders/", "receivers/"]),
    ):
        assert (await client.get(path)).json() == children


async def test_every_resource_has_what_its_schema_requires(
    resources: dict[str, list[Resource]],
) -> None:
    """Core and own attributes are there, ids are UUIDs, versions are timestamps."""
    for kind, required in REQUIRED.items():
        assert resources[kind], kind
        for resource in resources[kind]:
            assert resource.keys() >= CORE | required
            assert UUID.fullmatch(str(resource["id"]))
            TaiTime.parse(str(resource["version"]))
            tags = resource["tags"]
            assert isinstance(tags, dict)
            assert all(isinstance(values, list) and values for values in tags.values())


async def test_one_resource_is_what_the_list_has(
    client: httpx2.AsyncClient, resources: dict[str, list[Resource]]
) -> None:
    """Each resource is found by its id, and no two share one."""
    ids = [each["id"] for kind in resources.values() for each in kind]
    assert len(set(ids)) == len(ids)
    for kind in KINDS:
        for resource in resources[kind]:
            assert (await client.get(f"{NODE}/{kind}/{resource['id']}")).json() == resource


async def test_resources_refer_to_each_other(resources: dict[str, list[Resource]]) -> None:
    """Each id that a resource names is the id of one, of the same Device and format."""
    (node,), (device,) = resources["self"], resources["devices"]
    assert device["node_id"] == node["id"]
    for kind in ("sources", "flows", "senders", "receivers"):
        assert {each["device_id"] for each in resources[kind]} == {device["id"]}
    for kind in ("senders", "receivers"):
        assert device[kind] == [each["id"] for each in resources[kind]]
    sources = {each["id"]: each for each in resources["sources"]}
    for flow in resources["flows"]:
        assert sources[flow["source_id"]]["format"] == flow["format"]
    assert {each["flow_id"] for each in resources["senders"]} == {
        each["id"] for each in resources["flows"]
    }


async def test_clocks_and_interfaces_are_those_of_the_node(
    resources: dict[str, list[Resource]],
) -> None:
    """Sources of media name a clock; Senders and Receivers an interface for each leg."""
    assert resources["self"][0]["clocks"] == [{"name": "clk0", "ref_type": "internal"}]
    for source in resources["sources"]:
        is_data = source["format"] == "urn:x-nmos:format:data"
        assert source["clock_name"] == (None if is_data else "clk0")
    assert resources["self"][0]["interfaces"] == [
        {"name": "lo", "port_id": "00-00-00-00-00-00", "chassis_id": None}
    ]
    for kind in ("senders", "receivers"):
        assert all(each["interface_bindings"] == ["lo"] for each in resources[kind])


async def test_formats_are_described(resources: dict[str, list[Resource]]) -> None:
    """Video and audio Sources, Flows and Receivers have what their own schemas require."""
    video_source = by_format(resources["sources"], "video")
    assert video_source["grain_rate"] == {"numerator": 25, "denominator": 1}
    audio_source = by_format(resources["sources"], "audio")
    assert audio_source["channels"] == [
        {"label": "Left", "symbol": "L"},
        {"label": "Right", "symbol": "R"},
    ]
    video_flow = by_format(resources["flows"], "video")
    assert video_flow["media_type"] == "video/raw"
    assert (video_flow["frame_width"], video_flow["frame_height"]) == (1920, 1080)
    assert video_flow["components"] == [
        {"name": "Y", "width": 1920, "height": 1080, "bit_depth": 10},
        {"name": "Cb", "width": 960, "height": 1080, "bit_depth": 10},
        {"name": "Cr", "width": 960, "height": 1080, "bit_depth": 10},
    ]
    audio_flow = by_format(resources["flows"], "audio")
    assert (audio_flow["media_type"], audio_flow["bit_depth"]) == ("audio/L24", 24)
    assert audio_flow["sample_rate"] == {"numerator": 48000, "denominator": 1}


async def test_rtp_receivers_say_what_streams_they_take(
    resources: dict[str, list[Resource]],
) -> None:
    """Constraint sets as in BCP-004-01, which the Flows of this Node meet."""
    receivers, rate = resources["receivers"], {"numerator": 25, "denominator": 1}
    video = by_format(receivers, "video")
    assert video["caps"] == {
        "media_types": ["video/raw"],
        "constraint_sets": [
            {
                "urn:x-nmos:cap:meta:label": "Video flow, 1080p25",
                "urn:x-nmos:cap:format:media_type": {"enum": ["video/raw"]},
                "urn:x-nmos:cap:format:grain_rate": {"enum": [rate]},
                "urn:x-nmos:cap:format:frame_width": {"enum": [1920]},
                "urn:x-nmos:cap:format:frame_height": {"enum": [1080]},
                "urn:x-nmos:cap:format:interlace_mode": {"enum": ["progressive", "interlaced_tff"]},
                "urn:x-nmos:cap:format:colorspace": {"enum": ["BT709"]},
                "urn:x-nmos:cap:format:transfer_characteristic": {"enum": ["SDR"]},
                "urn:x-nmos:cap:format:color_sampling": {"enum": ["YCbCr-4:2:2"]},
                "urn:x-nmos:cap:format:component_depth": {"enum": [10]},
            }
        ],
        "version": video["version"],
    }
    audio = by_format(receivers, "audio")
    assert audio["caps"] == {
        "media_types": ["audio/L24", "audio/L16"],
        "constraint_sets": [
            {
                "urn:x-nmos:cap:meta:label": "Audio flow, stereo",
                "urn:x-nmos:cap:format:media_type": {"enum": ["audio/L24", "audio/L16"]},
                "urn:x-nmos:cap:format:channel_count": {"enum": [2]},
                "urn:x-nmos:cap:format:sample_rate": {
                    "enum": [{"numerator": 48000, "denominator": 1}]
                },
                "urn:x-nmos:cap:format:sample_depth": {"enum": [24, 16]},
            }
        ],
        "version": audio["version"],
    }


async def test_hrefs_carry_the_nodes_own_name_and_protocol(
    resources: dict[str, list[Resource]],
) -> None:
    """Every URL begins with the protocol, host name and port of the settings."""
    (node,), (device,) = resources["self"], resources["devices"]
    assert node["href"] == f"{ORIGIN}/"
    assert node["api"] == {
        "versions": ["v1.3"],
        "endpoints": [{"host": HOST, "port": 8443, "protocol": "https", "authorization": False}],
    }
    connection = f"{ORIGIN}/x-nmos/connection/v1.1"
    assert device["controls"] == [
        {"href": href, "type": f"urn:x-nmos:control:{name}", "authorization": False}
        for name, href in (
            ("sr-ctrl/v1.1", connection),
            # "should always end with a trailing slash" (IS-07 "Events API", NMOS Resource)
            ("events/v1.0", f"{ORIGIN}/x-nmos/events/v1.0/"),
            ("cm-ctrl/v1.0", f"{ORIGIN}/x-nmos/channelmapping/v1.0"),
        )
    ]
    for sender in resources["senders"]:
        file = f"{connection}/single/senders/{sender['id']}/transportfile"
        assert sender["manifest_href"] == (file if sender["transport"] == RTP else None)


async def test_the_manifest_is_where_its_href_says(
    client: httpx2.AsyncClient, resources: dict[str, list[Resource]]
) -> None:
    """`manifest_href` leads to the Sender's SDP."""
    for sender in resources["senders"]:
        if sender["transport"] != RTP:
            continue
        response = await client.get(str(sender["manifest_href"]))
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["cache-control"] == "no-cache"
        assert response.text.startswith("v=0\r\n")


async def test_nothing_is_active_at_first(resources: dict[str, list[Resource]]) -> None:
    """Neither Senders nor Receivers are connected before someone asks for it."""
    for sender in resources["senders"]:
        assert sender["subscription"] == {"active": False, "receiver_id": None}
    for receiver in resources["receivers"]:
        assert receiver["subscription"] == {"active": False, "sender_id": None}


async def test_both_apis_have_the_same_senders_and_receivers(
    client: httpx2.AsyncClient, resources: dict[str, list[Resource]]
) -> None:
    """The Connection API lists the ids of the Node API, each with a slash."""
    for kind in ("senders", "receivers"):
        listed = await client.get(f"/x-nmos/connection/v1.1/single/{kind}")
        assert listed.json() == [f"{each['id']}/" for each in resources[kind]]


async def test_endpoints_and_controls_say_that_they_are_protected(
    settings: nmos_auth.Settings, node_settings: Settings, clock: ManualClock
) -> None:
    """With authorization on, `authorization` is true in both."""
    app: FastAPI = create_app(node_settings, settings, clock)
    resources = app.state.node.resources
    assert [each.authorization for each in resources.node.api.endpoints] == [True]
    for device in resources.devices.values():
        assert all(each.authorization for each in device.controls)


async def test_plain_http_shows_in_every_href(clock: ManualClock) -> None:
    """A Node without TLS, for development, says so."""
    node_settings = Settings(host_name=HOST, protocol="http", port=8080, interfaces=("lo",))
    app = create_app(node_settings, nmos_auth.Settings(enabled=False), clock)
    async with running(app) as client:
        body = (await client.get(f"{NODE}/self")).json()
    assert body["href"] == f"http://{HOST}:8080/"
    assert body["api"]["endpoints"][0]["protocol"] == "http"
