"""Subscriptions as resources: IS-04 v1.3 "Behaviour: Querying", Subscriptions."""

import json
import math
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

import nmos_auth
from example_node.registry import Settings, create_app
from example_node.registry.subscriptions import MOST_SOCKETS, MOST_SUBSCRIPTIONS
from tests.example_node.registry.support import HOST, QUERY
from tests.example_node.sockets import opened, status_of_handshake
from tests.example_node.support import UNKNOWN, ManualClock, assert_error

SUBSCRIPTIONS = f"{QUERY}/subscriptions"


def request(**changes: object) -> dict[str, Any]:
    """Return the body of a request for a subscription."""
    return {
        "resource_path": "/receivers",
        "params": {},
        "persist": False,
        "max_update_rate_ms": 100,
        **changes,
    }


async def test_a_subscription_is_created(client: httpx2.AsyncClient) -> None:
    """201, a Location, and a ws_href outside /x-nmos that is as secure as HTTP is."""
    response = await client.post(SUBSCRIPTIONS, json=request(params={"label": "x"}))
    assert response.status_code == 201
    created = response.json()
    subscription_id = created.pop("id")
    assert created == {
        **request(params={"label": "x"}),
        "ws_href": f"wss://{HOST}:8444/ws/{subscription_id}",
        "secure": True,
        "authorization": False,
    }
    assert response.headers["location"] == f"{SUBSCRIPTIONS}/{subscription_id}"
    found = await client.get(f"{SUBSCRIPTIONS}/{subscription_id}")
    assert found.json() == response.json()
    assert (await client.get(SUBSCRIPTIONS)).json() == [response.json()]
    assert_error(await client.get(f"{SUBSCRIPTIONS}/{UNKNOWN}"), 404)


async def test_the_same_request_gives_the_same_subscription(client: httpx2.AsyncClient) -> None:
    """200 where one as it is asked for exists, 201 for any other."""
    first = await client.post(SUBSCRIPTIONS, json=request())
    again = await client.post(SUBSCRIPTIONS, json=request(secure=True, authorization=False))
    assert (again.status_code, again.json()) == (200, first.json())
    for changes in (
        {"persist": True},
        {"params": {"label": "x"}},
        {"params": {"label": 1}},
        {"params": {"label": True}},
        {"resource_path": "/senders"},
        {"max_update_rate_ms": 0},
    ):
        other = await client.post(SUBSCRIPTIONS, json=request(**changes))
        assert (other.status_code, other.json()["id"] == first.json()["id"]) == (201, False)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"resource_path": "/subscriptions"}, 400),
        ({"resource_path": "receivers"}, 400),
        ({"resource_path": "/"}, 400),
        ({"resource_path": ["/nodes"]}, 400),
        ({"params": None}, 400),
        ({"params": {"tags": {"a": "b"}}}, 400),
        ({"params": {"label": "\ud800"}}, 400),
        ({"params": {"\ud800": "x"}}, 400),
        ({"params": {"label": math.nan}}, 400),
        ({"params": {"label": "x" * 257}}, 400),
        ({"params": {"x" * 257: 1}}, 400),
        ({"params": {f"{number}": 1 for number in range(33)}}, 400),
        ({"params": {f"{number}": 1 for number in range(17)}}, 400),
        ({"params": {"query.rql": "gt(a,b)"}}, 501),
        ({"params": {"query.rql": "eq(a,b"}}, 400),
        ({"params": {"query.rql": 1}}, 400),
        ({"params": {"query.rql": "eq(a," + "b" * 5000 + ")"}}, 400),
        ({"params": {"query.downgrade": "v2.0"}}, 400),
        ({"persist": "no"}, 400),
        ({"max_update_rate_ms": -1}, 400),
        ({"max_update_rate_ms": 10**9}, 400),
        ({"secure": False}, 400),
        ({"authorization": True}, 400),
    ],
)
async def test_what_cannot_be_subscribed_to(
    client: httpx2.AsyncClient, changes: dict[str, object], status: int
) -> None:
    """400 for what is wrong or another mode of operation, 501 for what is not supported."""
    content = json.dumps(request(**changes)).encode()
    headers = {"Content-Type": "application/json"}
    assert_error(await client.post(SUBSCRIPTIONS, content=content, headers=headers), status)
    assert (await client.get(SUBSCRIPTIONS)).json() == []


async def test_only_persistent_ones_are_deleted(client: httpx2.AsyncClient) -> None:
    """403 for a subscription that the Query API manages, 204 for a persistent one."""
    for persist, status in ((False, 403), (True, 204)):
        created = (await client.post(SUBSCRIPTIONS, json=request(persist=persist))).json()
        location = f"{SUBSCRIPTIONS}/{created['id']}"
        response = await client.delete(location)
        assert response.status_code == status
        assert (await client.get(location)).status_code == (404 if persist else 200)
    assert_error(await client.delete(f"{SUBSCRIPTIONS}/{UNKNOWN}"), 404)


async def test_what_nobody_connects_to_is_forgotten(
    client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """A minute after it was made, and not if it is persistent."""
    for persist in (False, True):
        await client.post(SUBSCRIPTIONS, json=request(persist=persist))
    await clock.advance("61:0")
    await client.post(SUBSCRIPTIONS, json=request(resource_path="/nodes"))
    left = (await client.get(SUBSCRIPTIONS)).json()
    assert sorted(each["resource_path"] for each in left) == ["/nodes", "/receivers"]
    assert [each["persist"] for each in left if each["resource_path"] == "/receivers"] == [True]


async def test_there_are_not_too_many(client: httpx2.AsyncClient, clock: ManualClock) -> None:
    """503 for one more, until those that nobody connected to are forgotten."""
    for number in range(MOST_SUBSCRIPTIONS):
        response = await client.post(SUBSCRIPTIONS, json=request(params={"label": number}))
        assert response.status_code == 201
    assert_error(await client.post(SUBSCRIPTIONS, json=request()), 503)
    again = request(params={"label": 7})
    assert (await client.post(SUBSCRIPTIONS, json=again)).status_code == 200
    await clock.advance("61:0")
    assert (await client.post(SUBSCRIPTIONS, json=request())).status_code == 201


async def test_there_are_not_too_many_websockets(
    registry_settings: Settings, clock: ManualClock
) -> None:
    """One too many is told to come later, and may when another has left."""
    app = create_app(registry_settings, nmos_auth.Settings(enabled=False), clock)
    path = f"{QUERY}/nodes"
    async with AsyncExitStack() as stack:
        for _ in range(MOST_SOCKETS):
            await stack.enter_async_context(opened(app, path))
        assert await status_of_handshake(app, path) == 503
    async with opened(app, path):
        pass


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("query.rql=gt(a,b)", 501),
        ("query.rql=eq(a,b", 400),
        ("query.downgrade=v2.0", 400),
        ("label=" + "x" * 257, 400),
        ("&".join(f"a{number}=" for number in range(17)), 400),
    ],
)
async def test_what_cannot_be_upgraded(
    registry_settings: Settings, clock: ManualClock, query: str, status: int
) -> None:
    """A WebSocket on a list is refused for the reasons that a request for it is."""
    app = create_app(registry_settings, nmos_auth.Settings(enabled=False), clock)
    assert await status_of_handshake(app, f"{QUERY}/nodes?{query}") == status
