"""What is registered."""

import httpx2

from example_node.node import ReferenceNode
from example_node.registration.records import Kind, records_of
from tests.example_node.support import NODE

PATHS = {kind: f"{NODE}/{kind}s/{{}}" for kind in Kind} | {Kind.NODE: f"{NODE}/self"}


async def test_registries_hold_what_the_node_api_shows(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """IS-04 "Behaviour: Registration": the very object that the Node API holds."""
    for record in records_of(node.resources):
        shown = await client.get(PATHS[record.kind].format(record.id))
        assert shown.json() == record.data


async def test_everything_is_registered(client: httpx2.AsyncClient, node: ReferenceNode) -> None:
    """And parents before their children."""
    records = records_of(node.resources)
    listed = {(await client.get(PATHS[Kind.NODE])).json()["id"]}
    for kind in set(Kind) - {Kind.NODE}:
        listed |= {each["id"] for each in (await client.get(f"{NODE}/{kind}s")).json()}
    assert {record.id for record in records} == listed
    for position, record in enumerate(records):
        assert record.parent in {None, *(earlier.id for earlier in records[:position])}
