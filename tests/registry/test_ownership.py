"""What handlers ask, and what they are told: BCP-003-02 "Registry Client Authorization"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI
from redis.asyncio import Redis
from starlette.testclient import TestClient

from nmos_auth import AccessToken, InsufficientScope, NmosAuthMiddleware
from nmos_auth.errors import OwnersUnavailable, Reason
from nmos_auth.registry import MemoryOwners, Ownership, UnfitResource, ownership_of
from nmos_auth.registry.redis import RedisOwners
from nmos_auth.testing import StandInAuthorizationServer
from tests.registry.support import uuid
from tests.support.parsed import access_token_of
from tests.support.servers import listen

RESOURCE = "/x-nmos/registration/v1.3/resource"
NODE, DEVICE = uuid(1), uuid(2)


@pytest.fixture
async def unreachable() -> AsyncIterator[RedisOwners]:
    """Yield owners in a Redis server that is not there."""
    with listen() as listener:
        port = listener.getsockname()[1]
    async with Redis.from_url(f"redis://127.0.0.1:{port}") as client:
        yield RedisOwners(client)


def of_clients(*names: str) -> list[Ownership]:
    """Return what the handlers of these clients' requests have, in one Registry."""
    owners = MemoryOwners()
    return [Ownership(owners, access_token_of(client_id=name)) for name in names]


async def test_what_is_new_is_told_from_what_is_not() -> None:
    """By which the Registry answers 201 or 200, or 404."""
    (ownership,) = of_clients("a")
    assert await ownership.register("node", {"id": NODE}) is True
    assert await ownership.register("node", {"id": NODE}) is False
    assert await ownership.register("device", {"id": DEVICE, "node_id": NODE}) is True
    assert await ownership.heartbeat(NODE) is True
    assert await ownership.delete("devices", DEVICE) is True
    assert await ownership.delete("devices", DEVICE) is False
    assert await ownership.heartbeat(DEVICE) is False


async def test_a_refusal_says_why_to_the_audit_log() -> None:
    """It carries the token, which was verified, and the reason."""
    owner, other = of_clients("a", "b")
    await owner.register("node", {"id": NODE})
    for question in (
        other.register("node", {"id": NODE}),
        other.register("device", {"id": DEVICE, "node_id": NODE}),
        other.delete("nodes", NODE),
        other.heartbeat(NODE),
    ):
        with pytest.raises(InsufficientScope) as refusal:
            await question
        assert refusal.value.reason is Reason.OWNER
        assert refusal.value.token is not None
        assert refusal.value.token.client_id == "b"


async def test_a_client_may_have_no_more() -> None:
    """400, so that its Node does not try for ever; and the reason for the audit log."""
    owners = MemoryOwners(most_per_client=1)
    ownership = Ownership(owners, access_token_of(client_id="a"))
    await ownership.register("node", {"id": NODE})
    with pytest.raises(UnfitResource) as refusal:
        await ownership.register("device", {"id": DEVICE, "node_id": NODE})
    assert refusal.value.reason is Reason.FULL
    assert refusal.value.token is not None


async def test_what_does_not_fit_is_refused_as_such() -> None:
    """400 and not 403: nobody owns what is not there."""
    (ownership,) = of_clients("a")
    for resource_type, data in (
        ("device", {"id": DEVICE, "node_id": NODE}),
        ("clock", {"id": DEVICE}),
        ("node", "x"),
    ):
        with pytest.raises(UnfitResource):
            await ownership.register(resource_type, data)


@pytest.mark.parametrize("hostile", ["", "x", "..", "*", "\x00", "\ud800", NODE + "\n", "{nmos}"])
async def test_ids_and_collections_may_be_anything(hostile: str) -> None:
    """What is not an id names nothing."""
    (ownership,) = of_clients("a")
    assert await ownership.delete("nodes", hostile) is False
    assert await ownership.delete(hostile, NODE) is False
    assert await ownership.heartbeat(hostile) is False


async def test_azp_is_the_client_where_client_id_is_absent() -> None:
    """The two claims name the same client."""
    owners = MemoryOwners()
    by_azp = Ownership(owners, access_token_of(client_id=None, azp="a"))
    await by_azp.register("node", {"id": NODE})
    assert await Ownership(owners, access_token_of(client_id="a")).heartbeat(NODE)
    with pytest.raises(InsufficientScope):
        await Ownership(owners, access_token_of(client_id="b", azp="a")).heartbeat(NODE)


async def test_without_an_answer_nothing_is_permitted(unreachable: RedisOwners) -> None:
    """The error tells whose request it was."""
    token = access_token_of(client_id="a")
    ownership = Ownership(unreachable, token)
    for question in (
        ownership.register("node", {"id": NODE}),
        ownership.delete("nodes", NODE),
        ownership.heartbeat(NODE),
    ):
        with pytest.raises(OwnersUnavailable) as failure:
            await question
        assert (failure.value.reason, failure.value.token) == (Reason.OWNERS, token)


async def test_without_authorization_everything_is_permitted(unreachable: RedisOwners) -> None:
    """NMOS_AUTH_ENABLED=false: there are no clients, and nobody is asked."""
    ownership = Ownership(unreachable, AccessToken.unrestricted())
    assert await ownership.register("anything", None) is False
    assert await ownership.delete("nodes", NODE) is True
    assert await ownership.heartbeat(NODE) is True


ROUTES = APIRouter()
Owned = Annotated[Ownership, Depends(ownership_of(MemoryOwners()))]


@ROUTES.post(RESOURCE)
async def register(body: Annotated[dict[str, object], Body()], ownership: Owned) -> bool:
    """Register a resource."""
    return await ownership.register(body.get("type"), body.get("data"))


def test_handlers_have_it_in_one_line(server: StandInAuthorizationServer) -> None:
    """As the README has it; the middleware answers what it raises."""
    app = FastAPI()
    app.include_router(ROUTES)
    app.add_middleware(NmosAuthMiddleware, settings=server.settings())
    with TestClient(app) as client:
        for name, resource_id, status in (
            ("a", NODE, 200),
            ("b", NODE, 403),
            ("a", NODE, 200),
            ("a", "x", 400),
        ):
            token = server.token(write={"registration": ["resource"]}, client_id=name)
            body = {"type": "node", "data": {"id": resource_id}}
            response = client.post(RESOURCE, json=body, headers=server.headers(token))
            assert response.status_code == status
