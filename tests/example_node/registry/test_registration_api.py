"""The Registration API: IS-04 v1.3 "Behaviour: Registration"."""

import json
from typing import Any

import httpx2
import pytest

from tests.example_node.registry.support import (
    DEVICE_ID,
    NODE_ID,
    REGISTRATION,
    TYPES,
    post,
    register_all,
    resource,
    uuid,
)
from tests.example_node.support import UNKNOWN, ManualClock, assert_error


async def send(client: httpx2.AsyncClient, content: bytes) -> httpx2.Response:
    """Send something as the body of a registration."""
    headers = {"Content-Type": "application/json"}
    return await client.post(f"{REGISTRATION}/resource", content=content, headers=headers)


async def is_registered(client: httpx2.AsyncClient, kind: str, resource_id: str) -> bool:
    """Tell whether a resource is there."""
    response = await client.get(f"{REGISTRATION}/resource/{kind}s/{resource_id}")
    assert response.status_code in {200, 404}
    return response.status_code == 200


async def test_base_resources(client: httpx2.AsyncClient) -> None:
    """RAML: `/` lists what is below it."""
    assert (await client.get(REGISTRATION)).json() == ["resource/", "health/"]


@pytest.mark.parametrize("kind", TYPES)
async def test_a_resource_is_created_then_updated(client: httpx2.AsyncClient, kind: str) -> None:
    """201 at first and 200 after that, with the resource's Location, exactly as it was sent."""
    await register_all(client)
    assert (await client.delete(f"{REGISTRATION}/resource/nodes/{NODE_ID}")).status_code == 204
    for each in TYPES[: TYPES.index(kind)]:
        await post(client, each)
    steps: tuple[tuple[int, dict[str, Any]], ...] = (
        (201, {}),
        (200, {"version": "11:0", "x-vendor": {"a": [1, None]}}),
    )
    for status, changes in steps:
        response = await post(client, kind, **changes)
        sent = resource(kind, **changes)
        location = f"{REGISTRATION}/resource/{kind}s/{sent['id']}"
        assert (response.status_code, response.json()) == (status, sent)
        assert response.headers["location"] == location
        assert (await client.get(location)).json() == sent


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("missing", ["id", "label", "version", "tags"])
async def test_a_resource_without_an_attribute_is_refused(
    client: httpx2.AsyncClient, kind: str, missing: str
) -> None:
    """400 where the schema is not met, and nothing is registered."""
    assert_error(await post(client, kind, "", **{missing: None}), 400)
    assert not await is_registered(client, kind, resource(kind)["id"])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("node", {"id": NODE_ID.upper().replace("0000-4", "ABCD-4")}),
        ("node", {"id": f"{NODE_ID}\n"}),
        ("node", {"id": 1}),
        ("node", {"version": "1"}),
        ("node", {"label": 1}),
        ("node", {"label": "\ud800"}),
        ("node", {"x-vendor": "\udfff"}),
        ("node", {"tags": {"a": "b"}}),
        ("node", {"clocks": [{"name": "clk0", "ref_type": "sundial"}]}),
        ("node", {"interfaces": [{"name": "eno1", "port_id": "x", "chassis_id": None}]}),
        ("device", {"node_id": "x"}),
        ("device", {"type": "urn:x-nmos:dervice:generic"}),
        ("source", {"channels": []}),
        ("source", {"format": "urn:x-nmos:format:smell"}),
        ("flow", {"device_id": [DEVICE_ID]}),
        ("flow", {"media_type": "audio"}),
        ("flow", {"media_type": "video/raw"}),
        ("flow", {"bit_depth": None}),
        ("flow", {"grain_rate": {"denominator": 1}}),
        ("flow", {"format": "urn:x-nmos:format:video", "media_type": "video/raw"}),
        ("source", {"channels": [{"label": "left", "symbol": "X"}]}),
        ("sender", {"subscription": {}}),
        ("receiver", {"caps": None}),
        ("receiver", {"caps": {"media_types": []}}),
    ],
)
async def test_a_resource_of_the_wrong_shape_is_refused(
    client: httpx2.AsyncClient, kind: str, changes: dict[str, Any]
) -> None:
    """400 for what a schema forbids and for what no answer could repeat."""
    await register_all(client)
    await client.delete(f"{REGISTRATION}/resource/{kind}s/{resource(kind)['id']}")
    body = {"type": kind, "data": {**resource(kind), **changes}}
    assert_error(await send(client, json.dumps(body).encode()), 400)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type": "node"}',
        b'{"type": "subscription", "data": {}}',
        b'{"type": ["node"], "data": {}}',
        b'{"type": "node", "data": []}',
        b"[" * 100_000,
    ],
)
async def test_a_body_that_is_no_registration_is_refused(
    client: httpx2.AsyncClient, content: bytes
) -> None:
    """400 for whatever comes in place of a registration."""
    assert_error(await send(client, content), 400)


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999"])
async def test_numbers_that_json_has_not_are_refused(
    client: httpx2.AsyncClient, number: bytes
) -> None:
    """Python reads them, and others could not read an answer with them."""
    body = json.dumps({"type": "node", "data": resource("node", x="here")}).encode()
    assert_error(await send(client, body.replace(b'"here"', number)), 400)


async def test_raw_audio_has_a_bit_depth(client: httpx2.AsyncClient) -> None:
    """And coded audio has none, so that only what is raw is refused without."""
    await register_all(client)
    assert_error(await post(client, "flow", bit_depth=None), 400)
    assert (await post(client, "flow", bit_depth=None, media_type="audio/opus")).status_code == 200


async def test_raw_video_has_components(client: httpx2.AsyncClient) -> None:
    """And coded video has none."""
    await register_all(client)
    video = {
        "id": uuid(7),
        "format": "urn:x-nmos:format:video",
        "frame_width": 1920,
        "frame_height": 1080,
        "colorspace": "BT709",
        "sample_rate": None,
        "bit_depth": None,
    }
    components = [{"name": "Y", "width": 1920, "height": 1080, "bit_depth": 10}]
    for media_type, changes, status in (
        ("video/raw", {}, 400),
        ("video/raw", {"components": components}, 201),
        ("video/jxsv", {}, 200),
        ("audio/L24", {}, 400),
    ):
        response = await post(client, "flow", "", media_type=media_type, **video, **changes)
        assert response.status_code == status


@pytest.mark.parametrize("depth", [32, 250, 500, 100_000])
async def test_what_is_nested_too_deep_is_refused(client: httpx2.AsyncClient, depth: int) -> None:
    """What could not be shown again would keep all others from being shown."""
    body = json.dumps({"type": "node", "data": resource("node", x="here")}).encode()
    nested = b"[" * depth + b"]" * depth
    assert_error(await send(client, body.replace(b'"here"', nested)), 400)
    nested = b"[" * 30 + b"]" * 30
    assert (await send(client, body.replace(b'"here"', nested))).status_code == 201
    assert len((await client.get("/x-nmos/query/v1.3/nodes")).json()) == 1


@pytest.mark.parametrize("kind", TYPES[1:])
async def test_a_resource_needs_its_parent(client: httpx2.AsyncClient, kind: str) -> None:
    """Referential Integrity: resources are accepted only where their parent is registered."""
    await register_all(client)
    parent = "node_id" if kind == "device" else "device_id"
    for wrong in (UNKNOWN, uuid(6)):
        assert_error(await post(client, kind, id=uuid(99), **{parent: wrong}), 400)


async def test_an_id_is_used_once(client: httpx2.AsyncClient) -> None:
    """400 where the id is that of another type of resource."""
    await register_all(client)
    assert_error(await post(client, "sender", id=resource("receiver")["id"]), 400)
    assert_error(await post(client, "node", id=DEVICE_ID), 400)


async def test_versions_do_not_go_back(client: httpx2.AsyncClient) -> None:
    """400 for a version earlier than the registered one; compared as times, not as text."""
    await register_all(client)
    assert_error(await post(client, "node", version="9:999999999"), 400)
    assert (await post(client, "node", version="10:0")).status_code == 200
    assert (await post(client, "node", version="100:0")).status_code == 200


async def test_deleting_a_parent_deletes_its_children(client: httpx2.AsyncClient) -> None:
    """Referential Integrity: all child resources are removed with their parent, immediately."""
    await register_all(client)
    assert (await client.delete(f"{REGISTRATION}/resource/devices/{DEVICE_ID}")).status_code == 204
    assert await is_registered(client, "node", NODE_ID)
    for kind in TYPES[1:]:
        assert not await is_registered(client, kind, resource(kind)["id"])


@pytest.mark.parametrize(
    "path",
    [
        f"nodes/{UNKNOWN}",
        f"devices/{NODE_ID}",
        f"node/{NODE_ID}",
        "nodes/x",
        f"nodes/{NODE_ID.upper()}x",
        "nodes/%00",
    ],
)
async def test_what_is_not_there_cannot_be_deleted(client: httpx2.AsyncClient, path: str) -> None:
    """404 for DELETE and GET of what is not registered, also by an id of another type."""
    await register_all(client)
    assert_error(await client.delete(f"{REGISTRATION}/resource/{path}"), 404)
    assert_error(await client.get(f"{REGISTRATION}/resource/{path}"), 404)
    assert await is_registered(client, "node", NODE_ID)


async def test_a_heartbeat_is_answered_with_its_time(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """RAML: 200 with the seconds of the heartbeat, which GET shows; 404 for an unknown Node."""
    await register_all(client)
    await clock.advance("5:500000000")
    health = f"{REGISTRATION}/health/nodes/{NODE_ID}"
    assert (await client.get(health)).json() == {"health": "1000"}
    assert (await client.post(health)).json() == {"health": "1005"}
    assert (await client.get(health)).json() == {"health": "1005"}
    for unknown in (UNKNOWN, DEVICE_ID, "x"):
        assert_error(await client.post(f"{REGISTRATION}/health/nodes/{unknown}"), 404)
        assert_error(await client.get(f"{REGISTRATION}/health/nodes/{unknown}"), 404)


async def test_a_node_without_heartbeats_is_collected(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """Twelve seconds after the last heartbeat the Node and all below it are gone."""
    await clock.advance("1:0")
    await register_all(client)
    await clock.advance("11:0")
    health = f"{REGISTRATION}/health/nodes/{NODE_ID}"
    assert (await client.post(health)).status_code == 200
    await clock.advance("11:999999999")
    assert await is_registered(client, "receiver", resource("receiver")["id"])
    await clock.advance("0:1")
    for kind in TYPES:
        assert not await is_registered(client, kind, resource(kind)["id"])
    assert_error(await client.post(health), 404)


async def test_one_dead_node_does_not_take_others_along(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """Each Node has its own heartbeats; registering it again is one too."""
    await post(client, "node", id=uuid(1))
    await clock.advance("6:0")
    await post(client, "node", id=uuid(2))
    await clock.advance("5:0")
    await post(client, "node", id=uuid(3))
    await clock.advance("1:0")
    assert not await is_registered(client, "node", uuid(1))
    assert await is_registered(client, "node", uuid(2))
    await clock.advance("6:0")
    assert not await is_registered(client, "node", uuid(2))
    assert await is_registered(client, "node", uuid(3))
