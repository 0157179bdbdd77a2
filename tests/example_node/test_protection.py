"""The Node with authorization on: real tokens, and what the handlers do with them."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from tests.example_node.support import (
    BULK,
    HOST,
    MAPPING,
    NODE,
    SINGLE,
    ManualClock,
    assert_error,
    running,
)
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import settings_for
from tests.support.tls import TestAuthority

CLIENT = "controller-0123456789"


@pytest.fixture
def settings(authority: FakeAuthorizationServer, tls: TestAuthority) -> nmos_auth.Settings:
    """Authorization on, with one server."""
    return settings_for(tls, authority, audience=HOST)


@pytest.fixture
def app(settings: nmos_auth.Settings, node_settings: Settings, clock: ManualClock) -> FastAPI:
    """The application, protected."""
    return create_app(node_settings, settings, clock)


class Tokens:
    """Tokens for the Node, from the Authorization Server."""

    def __init__(self, authority: FakeAuthorizationServer) -> None:
        self._authority = authority

    def header(self, **permissions: object) -> dict[str, str]:
        """An Authorization header; permissions are those of the Connection API."""
        return self.header_for("connection", **permissions)

    def header_for(self, api: str, **permissions: object) -> dict[str, str]:
        """An Authorization header with permissions for an API."""
        claims: dict[str, object] = {"aud": [f"https://{HOST}"], "client_id": CLIENT}
        if permissions:
            claims[f"x_nmos_{api}"] = permissions
        return {"Authorization": f"Bearer {self._authority.token(**claims)}"}


@pytest.fixture
def tokens(authority: FakeAuthorizationServer) -> Tokens:
    """A source of tokens."""
    return Tokens(authority)


@pytest.fixture
async def client(app: FastAPI, tokens: Tokens) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the running Node, which has fetched the server's keys."""
    async with running(app) as client:
        headers = tokens.header()
        async with asyncio.timeout(10):
            # Nothing that a client sees tells when the keys have come, but an answer.
            while (await client.get(NODE, headers=headers)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield client


async def test_the_base_is_public_and_the_apis_are_not(
    client: httpx2.AsyncClient, tokens: Tokens
) -> None:
    """`/` and `/x-nmos` need no token; everything below does, transport files included."""
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/x-nmos/")).status_code == 200
    sender = (await client.get(f"{NODE}/senders", headers=tokens.header())).json()[0]
    for path in (f"{NODE}/self", f"{SINGLE}/senders", sender["manifest_href"]):
        response = await client.get(path)
        assert_error(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert (await client.get(path, headers=tokens.header())).status_code == 200


async def test_refusals_of_the_node_are_seen_by_those_who_may(
    client: httpx2.AsyncClient, tokens: Tokens
) -> None:
    """With a token, an unknown resource is a 404 in the NMOS form, with CORS headers."""
    headers = {**tokens.header(), "Origin": "https://controller.example.com"}
    assert_error(await client.get(f"{NODE}/nothing", headers=headers), 404)
    assert_error(await client.get(f"{BULK}/senders", headers=headers), 405)


async def test_a_change_is_recorded_with_its_client(
    client: httpx2.AsyncClient, node: ReferenceNode, sender: str, tokens: Tokens
) -> None:
    """What is staged is remembered with client, user, path and attributes; refusals are not."""
    headers = tokens.header(write=["single/senders/*"])
    wrong = await client.patch(f"{sender}/staged", json={"bad": 1}, headers=headers)
    assert wrong.status_code == 400
    patch = {"master_enable": True, "activation": {"mode": "activate_immediate"}}
    assert (await client.patch(f"{sender}/staged", json=patch, headers=headers)).status_code == 200
    (change,) = node.changes
    assert change.client_id == CLIENT
    assert change.subject == "operator@example.com"
    assert change.path == f"single/senders/{sender.rsplit('/', 1)[1]}/staged"
    assert change.attributes == ("activation", "master_enable")
    assert change.time == node.clock.now()


async def test_bulk_entries_need_permission_for_each_sender(
    client: httpx2.AsyncClient, node: ReferenceNode, tokens: Tokens
) -> None:
    """An entry whose `single/senders/{id}/staged` the token does not cover is a 403 alone."""
    first, second, *_ = node.senders
    entries = [{"id": each, "params": {"master_enable": True}} for each in (first, second)]
    headers = tokens.header(write=["bulk/senders", f"single/senders/{first}/*"])
    response = await client.post(f"{BULK}/senders", json=entries, headers=headers)
    assert response.status_code == 200
    assert [each["code"] for each in response.json()] == [200, 403]
    assert response.json()[1]["error"]
    assert node.senders[first].staged.master_enable is True
    assert node.senders[second].staged.master_enable is False
    assert [change.path for change in node.changes] == [f"single/senders/{first}/staged"]


async def test_permission_for_single_senders_does_not_open_bulk(
    client: httpx2.AsyncClient, node: ReferenceNode, tokens: Tokens
) -> None:
    """The middleware decides about the request itself before the handler sees it."""
    entries = [{"id": each, "params": {}} for each in node.senders]
    headers = tokens.header(write=["single/*"])
    assert_error(await client.post(f"{BULK}/senders", json=entries, headers=headers), 403)
    assert len(node.changes) == 0


async def test_changes_of_the_map_are_recorded_with_their_client(
    client: httpx2.AsyncClient, node: ReferenceNode, tokens: Tokens
) -> None:
    """A scheduled activation and its cancellation are remembered, and which Outputs they touch."""
    headers = tokens.header_for("channelmapping", read=["*"], write=["map/activations*"])
    body = {
        "activation": {"mode": "activate_scheduled_relative", "requested_time": "2:0"},
        "action": {"monitor": {"0": {"input": "return", "channel_index": 0}}},
    }
    assert_error(await client.post(f"{MAPPING}/map/activations", json=body), 401)
    wrong = await client.post(f"{MAPPING}/map/activations", json={}, headers=headers)
    assert wrong.status_code == 400
    response = await client.post(f"{MAPPING}/map/activations", json=body, headers=headers)
    (activation_id,) = response.json()
    path = f"map/activations/{activation_id}"
    assert_error(await client.delete(f"{MAPPING}/{path}"), 401)
    assert (await client.delete(f"{MAPPING}/{path}", headers=headers)).status_code == 204
    assert [(each.path, each.attributes) for each in node.changes] == [
        ("map/activations", ("monitor",)),
        (path, ("monitor",)),
    ]
    assert {(each.client_id, each.subject) for each in node.changes} == {
        (CLIENT, "operator@example.com")
    }


async def test_reading_the_map_does_not_allow_changing_it(
    client: httpx2.AsyncClient, tokens: Tokens
) -> None:
    """With read alone, or write elsewhere, an activation is a 403 and nothing is scheduled."""
    body = {
        "activation": {"mode": "activate_immediate"},
        "action": {"monitor": {"0": {"input": "return", "channel_index": 0}}},
    }
    for headers in (
        tokens.header_for("channelmapping", read=["*"]),
        tokens.header_for("channelmapping", read=["*"], write=["map/active/*"]),
        tokens.header_for("connection", read=["*"], write=["*"]),
    ):
        response = await client.post(f"{MAPPING}/map/activations", json=body, headers=headers)
        assert_error(response, 403)
    headers = tokens.header_for("channelmapping", read=["map/*"])
    active = await client.get(f"{MAPPING}/map/active", headers=headers)
    assert active.json()["activation"]["mode"] is None


async def test_preflights_need_no_token(client: httpx2.AsyncClient, sender: str) -> None:
    """A browser asks without credentials whether it may send them."""
    headers = {
        "Origin": "https://controller.example.com",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "Content-Type, Authorization",
    }
    response = await client.options(f"{sender}/staged", headers=headers)
    assert response.status_code == 200
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert (await client.options(f"{sender}/staged")).status_code == 200
