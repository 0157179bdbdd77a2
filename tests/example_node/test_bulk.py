"""Bulk requests: each entry is answered as if it had been a PATCH of its own."""

import asyncio

import httpx2
import pytest

from example_node.node import ReferenceNode
from tests.example_node.support import BULK, SINGLE, UNKNOWN, ManualClock, assert_error, rtp_only


def relative(interval: str) -> dict[str, object]:
    """Params that ask for an activation after an interval."""
    return {"activation": {"mode": "activate_scheduled_relative", "requested_time": interval}}


@pytest.mark.parametrize("kind", ["senders", "receivers"])
async def test_all_are_staged(client: httpx2.AsyncClient, node: ReferenceNode, kind: str) -> None:
    """Each Sender or Receiver gets its own parameters, and each answer is a bare 200."""
    ids = rtp_only(node.senders if kind == "senders" else node.receivers)
    entries = [
        {"id": each, "params": {"transport_params": [{"destination_port": 6000 + index}]}}
        for index, each in enumerate(ids)
    ]
    response = await client.post(f"{BULK}/{kind}", json=entries)
    assert response.status_code == 200
    assert response.json() == [{"id": each, "code": 200} for each in ids]
    for index, each in enumerate(ids):
        staged = (await client.get(f"{SINGLE}/{kind}/{each}/staged")).json()
        assert staged["transport_params"][0]["destination_port"] == 6000 + index


async def test_one_fault_does_not_spoil_the_others(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """A wrong, an unknown and a locked entry fail alone, each with its status and error."""
    first, second, *_ = node.senders
    await client.patch(f"{SINGLE}/senders/{second}/staged", json=relative("5:0"))
    entries = [
        {"id": first, "params": {"transport_params": [{"destination_port": 0}]}},
        {"id": first, "params": {"bad": "data"}},
        {"id": UNKNOWN, "params": {}},
        {"id": second, "params": {}},
        {"id": first, "params": {"master_enable": True}},
    ]
    response = await client.post(f"{BULK}/senders", json=entries)
    assert response.status_code == 200
    results = response.json()
    assert [each["id"] for each in results] == [each["id"] for each in entries]
    assert [each["code"] for each in results] == [400, 400, 404, 423, 200]
    assert all(each["error"] and "debug" in each for each in results[:4])
    assert results[4].keys() == {"id", "code"}
    staged = (await client.get(f"{SINGLE}/senders/{first}/staged")).json()
    assert staged["master_enable"] is True


async def test_a_salvo_is_activated_together(
    client: httpx2.AsyncClient, node: ReferenceNode, clock: ManualClock
) -> None:
    """Relative times of one request start at its arrival, so all have the same."""
    entries = [{"id": each, "params": relative("2:0")} for each in node.receivers]
    response = await client.post(f"{BULK}/receivers", json=entries)
    assert [each["code"] for each in response.json()] == [202] * len(node.receivers)
    await clock.advance("2:0")
    for each in node.receivers:
        active = (await client.get(f"{SINGLE}/receivers/{each}/active")).json()
        assert active["activation"]["activation_time"] == "1002:0"


WRONG_BODIES: list[object] = [
    {},
    None,
    "x",
    [5],
    [{}],
    [{"id": UNKNOWN}],
    [{"params": {}}],
    [{"id": "not-a-uuid", "params": {}}],
    [{"id": UNKNOWN, "params": []}],
    [{"id": UNKNOWN, "params": {}, "more": 1}],
]


@pytest.mark.parametrize("kind", ["senders", "receivers"])
async def test_a_body_of_the_wrong_shape_is_400(client: httpx2.AsyncClient, kind: str) -> None:
    """What is not an array of ids and params is refused as a whole."""
    for body in WRONG_BODIES:
        assert_error(await client.post(f"{BULK}/{kind}", json=body), 400)


async def test_an_empty_request_does_nothing(client: httpx2.AsyncClient) -> None:
    """No entries, no results."""
    response = await client.post(f"{BULK}/senders/", json=[])
    assert (response.status_code, response.json()) == (200, [])


async def test_thousands_of_entries_leave_time_for_others(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """A request that comes meanwhile is answered long before the last entry has had its turn."""
    entries = [{"id": next(iter(node.senders)), "params": {}}] * 3000
    bulk = asyncio.create_task(client.post(f"{BULK}/senders", json=entries))
    # There is no event for the first of them.
    while not node.changes and not bulk.done():  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert (await client.get(f"{SINGLE}/")).status_code == 200
    assert not bulk.done()
    assert [each["code"] for each in (await bulk).json()] == [200] * 3000


async def test_an_answer_does_not_list_every_fault(
    client: httpx2.AsyncClient, sender: str, node: ReferenceNode
) -> None:
    """It stays short, whatever is wrong with however many entries and attributes."""
    many = 30_000
    unknown = {f"a{number}": 1 for number in range(many)}
    for response in (
        await client.post(f"{BULK}/senders", json=[1] * many),
        await client.patch(f"{sender}/staged", json=unknown),
        await client.patch(f"{sender}/staged", json={"transport_params": [1] * many}),
        await client.patch(f"{sender}/staged", json={"transport_params": [unknown]}),
    ):
        assert_error(response, 400)
        assert len(response.content) < 2000
    entry = {"id": next(iter(node.senders)), "params": unknown}
    response = await client.post(f"{BULK}/senders", json=[entry])
    assert response.json()[0]["code"] == 400
    assert len(response.content) < 2000
