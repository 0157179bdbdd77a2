"""The Events API over REST: IS-07 "Events API", EventsAPI.raml."""

import httpx2
import pytest
from fastapi import FastAPI

from example_node.events.event_types import Payload
from example_node.node import ReferenceNode
from tests.example_node.support import EVENTS, NODE, UNKNOWN, ManualClock, assert_error, running

EVENT_TYPES = {"boolean", "string", "number/temperature/C", "string/enum/DeviceStatus"}


async def get(client: httpx2.AsyncClient, path: str) -> dict[str, object]:
    """GET an object that has to be there."""
    response = await client.get(path)
    assert response.status_code == 200, path
    document = response.json()
    assert isinstance(document, dict)
    return document


async def test_each_level_lists_its_children(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """Base, Sources and one Source: arrays of paths with a slash."""
    assert (await client.get(EVENTS)).json() == ["sources/"]
    sources = (await client.get(f"{EVENTS}/sources")).json()
    assert sources == [f"{each}/" for each in node.events.sources]
    for source in sources:
        assert (await client.get(f"{EVENTS}/sources/{source}")).json() == ["state/", "type/"]


async def test_sources_are_those_of_the_node_api(client: httpx2.AsyncClient) -> None:
    """Each is in IS-04 with the event type of its state, and so is a Flow of it."""
    listed = (await client.get(f"{EVENTS}/sources")).json()
    sources = {each["id"]: each for each in (await client.get(f"{NODE}/sources")).json()}
    flows = {each["source_id"]: each for each in (await client.get(f"{NODE}/flows")).json()}
    found = set()
    for source_id in (each.rstrip("/") for each in listed):
        state = await get(client, f"{EVENTS}/sources/{source_id}/state")
        source, flow = sources[source_id], flows[source_id]
        assert source["format"] == flow["format"] == "urn:x-nmos:format:data"
        assert flow["media_type"] == "application/json"
        assert state["event_type"] == source["event_type"] == flow["event_type"]
        found.add(state["event_type"])
    assert found == EVENT_TYPES


async def test_a_state_is_the_sources(
    client: httpx2.AsyncClient, node: ReferenceNode, clock: ManualClock
) -> None:
    """A message of type state that names the Source and no Flow, made when the value came."""
    for source_id, source in node.events.sources.items():
        state = await get(client, f"{EVENTS}/sources/{source_id}/state")
        assert state == {
            "identity": {"source_id": source_id},
            "event_type": source.event_type,
            "timing": {"creation_timestamp": str(clock.now())},
            "payload": source.state.payload.model_dump(exclude_none=True),
            "message_type": "state",
        }


async def test_types_are_described(client: httpx2.AsyncClient, node: ReferenceNode) -> None:
    """The attributes of the type definitions' schemas and no others; `null` is none of them."""
    types = {
        source.event_type: await get(client, f"{EVENTS}/sources/{source_id}/type")
        for source_id, source in node.events.sources.items()
    }
    assert types["boolean"] == {"type": "boolean"}
    assert types["string"] == {"type": "string", "min_length": 1, "max_length": 30}
    assert types["number/temperature/C"] == {
        "type": "number",
        "min": {"value": -200, "scale": 10},
        "max": {"value": 1000, "scale": 10},
        "step": {"value": 1, "scale": 10},
        "unit": "C",
    }
    enum = types["string/enum/DeviceStatus"]
    assert enum.keys() == {"type", "values"}
    values = enum["values"]
    assert isinstance(values, list)
    assert all(each.keys() == {"value", "label", "description"} for each in values)


async def test_values_change_on_the_nodes_clock(
    client: httpx2.AsyncClient, node: ReferenceNode, clock: ManualClock
) -> None:
    """Nothing changes while the clock stands; each interval brings every Source a new value."""
    await clock.settle()
    before = {each: source.state for each, source in node.events.sources.items()}
    await clock.advance("0:999999999")
    assert before == {each: source.state for each, source in node.events.sources.items()}
    for _ in range(5):
        await clock.advance("1:0")
        for source_id, source in node.events.sources.items():
            state = await get(client, f"{EVENTS}/sources/{source_id}/state")
            assert source.state.payload != before[source_id].payload
            assert state["timing"] == {"creation_timestamp": str(clock.now())}
            assert source.definition.allows(source.state.payload)
            before[source_id] = source.state


async def test_the_same_value_again_is_no_event(node: ReferenceNode, clock: ManualClock) -> None:
    """The state's time is that of its last change, and a value of another type is none."""
    source = next(iter(node.events.sources.values()))
    before = source.state
    await clock.advance("5:0")
    source.change(before.payload)
    assert source.state == before
    with pytest.raises(ValueError, match="is not of the type boolean"):
        source.change(Payload(value="on"))
    assert source.state == before


async def test_what_is_not_there_is_404(client: httpx2.AsyncClient, node: ReferenceNode) -> None:
    """Unknown Sources, those of media, and other children are answered as every API does."""
    media = [each for each in node.resources.sources if each not in node.events.sources]
    for source_id in (UNKNOWN, "x", *media):
        for child in ("", "/state", "/type"):
            assert_error(await client.get(f"{EVENTS}/sources/{source_id}{child}"), 404)
    source_id = next(iter(node.events.sources))
    assert_error(await client.get(f"{EVENTS}/sources/{source_id}/flow"), 404)
    assert_error(await client.get(f"{EVENTS}/devices"), 404)


async def test_nothing_can_be_written(client: httpx2.AsyncClient, node: ReferenceNode) -> None:
    """The API is for reading."""
    source_id = next(iter(node.events.sources))
    for path in (EVENTS, f"{EVENTS}/sources", f"{EVENTS}/sources/{source_id}/state"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert_error(await client.request(method, path, json={}), 405)


async def test_values_stand_still_once_the_node_has_stopped(
    app: FastAPI, node: ReferenceNode, clock: ManualClock
) -> None:
    """What changes them ends with the Node."""
    async with running(app):
        await clock.settle()
        await clock.advance("1:0")
        before = [source.state for source in node.events.sources.values()]
    await clock.advance("10:0")
    assert before == [source.state for source in node.events.sources.values()]
