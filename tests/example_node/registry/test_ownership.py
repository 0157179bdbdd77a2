"""Whose resources are whose: BCP-003-02 "Registry Client Authorization", over HTTP."""

import asyncio
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from example_node.clock import NANOSECONDS, TaiTime
from example_node.registry import Settings, create_app
from nmos_auth.testing import StandInAuthorizationServer
from tests.example_node.registry.support import (
    DEVICE_ID,
    HOST,
    NODE_ID,
    REGISTRATION,
    TYPES,
    bearer,
    post,
    register_all,
    resource,
    uuid,
)
from tests.example_node.support import ManualClock, assert_error, running
from tests.support.audit import lines_of
from tests.support.redis import redis_server

EVERYTHING = {"registration": ["*"]}


@pytest.fixture
def owner(server: StandInAuthorizationServer) -> str:
    """A token of the client that registers first."""
    return server.token(read=EVERYTHING, write=EVERYTHING, client_id="node-1")


@pytest.fixture
def other(server: StandInAuthorizationServer) -> str:
    """A token of another client, with the same permissions."""
    return server.token(read=EVERYTHING, write=EVERYTHING, client_id="node-2")


def assert_refused(response: httpx2.Response) -> None:
    """Check that an answer is the 403 that BCP-003-02 asks for."""
    assert_error(response, 403)
    assert "error=insufficient_scope" in response.headers["www-authenticate"]


@pytest.mark.parametrize("kind", TYPES)
async def test_another_client_may_not_modify(
    protected: httpx2.AsyncClient, owner: str, other: str, kind: str
) -> None:
    """Neither the Node nor anything below it, and the owner still may."""
    await register_all(protected, owner)
    assert_refused(await post(protected, kind, other, version="11:0"))
    kept = f"{REGISTRATION}/resource/{kind}s/{resource(kind)['id']}"
    assert (await protected.get(kept, headers=bearer(owner))).json() == resource(kind)
    assert (await post(protected, kind, owner, version="11:0")).status_code == 200


@pytest.mark.parametrize("kind", TYPES)
async def test_another_client_may_not_delete(
    protected: httpx2.AsyncClient, owner: str, other: str, kind: str
) -> None:
    """403 for anybody else, 204 for the owner, 404 after that."""
    await register_all(protected, owner)
    path = f"{REGISTRATION}/resource/{kind}s/{resource(kind)['id']}"
    assert_refused(await protected.delete(path, headers=bearer(other)))
    assert (await protected.delete(path, headers=bearer(owner))).status_code == 204
    assert_error(await protected.delete(path, headers=bearer(other)), 404)


@pytest.mark.parametrize("kind", TYPES[1:])
async def test_another_client_may_not_add(
    protected: httpx2.AsyncClient, owner: str, other: str, kind: str
) -> None:
    """New resources below somebody else's Node are refused too."""
    await register_all(protected, owner)
    assert_refused(await post(protected, kind, other, id=uuid(99)))


async def test_another_client_may_not_send_heartbeats(
    protected: httpx2.AsyncClient, owner: str, other: str, clock: ManualClock
) -> None:
    """A refused heartbeat keeps nothing alive."""
    await register_all(protected, owner)
    await clock.advance("11:0")
    health = f"{REGISTRATION}/health/nodes/{NODE_ID}"
    assert_refused(await protected.post(health, headers=bearer(other)))
    await clock.advance("1:0")
    assert_error(await protected.post(health, headers=bearer(owner)), 404)


async def test_azp_names_the_client_where_client_id_is_absent(
    protected: httpx2.AsyncClient, server: StandInAuthorizationServer, owner: str, other: str
) -> None:
    """The same identifier counts, in whichever of the two claims a token has it."""
    by_azp = server.token(
        read=EVERYTHING, write=EVERYTHING, claims={"client_id": None, "azp": "node-1"}
    )
    assert (await post(protected, "node", by_azp)).status_code == 201
    assert_refused(await post(protected, "node", other))
    assert (await post(protected, "node", owner)).status_code == 200


async def test_nothing_moves_between_the_nodes_of_two_clients(
    protected: httpx2.AsyncClient, owner: str, other: str
) -> None:
    """The old and the new owner count: neither may take a resource over, nor give one away."""
    await register_all(protected, owner)
    await post(protected, "node", other, id=uuid(11))
    await post(protected, "device", other, id=uuid(12), node_id=uuid(11))
    for token in (owner, other):
        assert_refused(await post(protected, "device", token, node_id=uuid(11)))
        for kind in TYPES[2:]:
            assert_refused(await post(protected, kind, token, device_id=uuid(12)))


async def test_an_owner_may_move_what_is_its_own(
    protected: httpx2.AsyncClient, owner: str, other: str
) -> None:
    """Between Nodes of one client a Device moves, with all below it."""
    await register_all(protected, owner)
    await post(protected, "node", owner, id=uuid(11))
    assert (await post(protected, "device", owner, node_id=uuid(11))).status_code == 200
    node = f"{REGISTRATION}/resource/nodes/{NODE_ID}"
    assert (await protected.delete(node, headers=bearer(owner))).status_code == 204
    assert_refused(await post(protected, "receiver", other))
    assert (await post(protected, "receiver", owner)).status_code == 200


async def test_ownership_ends_with_deregistration(
    protected: httpx2.AsyncClient, owner: str, other: str
) -> None:
    """Once the Node is deleted, whoever comes first owns all there was."""
    await register_all(protected, owner)
    node = f"{REGISTRATION}/resource/nodes/{NODE_ID}"
    assert (await protected.delete(node, headers=bearer(owner))).status_code == 204
    await register_all(protected, other)
    assert_refused(await post(protected, "device", owner))


async def test_ownership_ends_with_the_heartbeats(
    protected: httpx2.AsyncClient, owner: str, other: str, clock: ManualClock
) -> None:
    """A Node that was collected is anybody's."""
    await register_all(protected, owner)
    await clock.advance("12:0")
    assert (await post(protected, "node", other)).status_code == 201
    assert_refused(await post(protected, "node", owner))


async def test_refusals_are_told_to_the_audit_log(
    registry_settings: Settings, server: StandInAuthorizationServer, owner: str
) -> None:
    """The client learns `insufficient_scope`; the log says that another client owns the Node."""
    # The log is complete once the app has stopped.
    async with running(create_app(registry_settings, server.settings())) as client:
        await register_all(client, owner)
        stranger = server.token(read=EVERYTHING, write=EVERYTHING, client_id="a stranger")
        response = await post(client, "device", stranger)
        assert "own" not in response.text
    (record,) = [
        record
        for record in lines_of(Path(server.settings().audit_log))
        if record["client_id"] == "a stranger"
    ]
    assert (record["outcome"], record["status"]) == ("rejected", 403)
    assert (record["reason"], record["verified"]) == ("owned by another client", True)


async def test_permissions_come_first(
    protected: httpx2.AsyncClient, server: StandInAuthorizationServer, owner: str
) -> None:
    """Owning a resource does not replace a path specifier that permits the request."""
    await register_all(protected, owner)
    reader = server.token(read=EVERYTHING, write={"registration": ["health/*"]}, client_id="node-1")
    assert_refused(await post(protected, "node", reader))
    health = f"{REGISTRATION}/health/nodes/{NODE_ID}"
    assert (await protected.post(health, headers=bearer(reader))).status_code == 200
    device = f"{REGISTRATION}/resource/devices/{DEVICE_ID}"
    assert_refused(await protected.delete(device, headers=bearer(reader)))


YEAR = TaiTime(365 * 86_400 * NANOSECONDS)


@pytest.mark.parametrize("years", [0, 2], ids=["back", "forwards"])
async def test_setting_the_clock_neither_ends_nodes_nor_keeps_them(
    registry_settings: Settings, server: StandInAuthorizationServer, years: int
) -> None:
    """A Node ends 12 seconds after its last heartbeat, in the Registry and for its owner."""
    clock = ManualClock()
    clock.ahead = YEAR
    owner, other = (
        server.token(read=EVERYTHING, write=EVERYTHING, client_id=each) for each in ("a", "b")
    )
    async with running(create_app(registry_settings, server.settings(), clock)) as client:
        await register_all(client, owner)
        clock.ahead = TaiTime(years * YEAR.total)
        await clock.advance("11:0")
        health = f"{REGISTRATION}/health/nodes/{NODE_ID}"
        assert (await client.get(health, headers=bearer(owner))).status_code == 200
        assert_refused(await post(client, "node", other))
        await clock.advance("1:0")
        assert_error(await client.get(health, headers=bearer(owner)), 404)
        assert (await post(client, "node", other)).status_code == 201


async def test_what_is_registered_has_its_parent(
    server: StandInAuthorizationServer, clock: ManualClock, tmp_path: Path
) -> None:
    """Also if the parent is removed while Redis is asked: nothing stays for good."""
    token = server.token(read=EVERYTHING, write=EVERYTHING)
    with redis_server(tmp_path) as url:
        settings = Settings(host_name=HOST, redis=SecretStr(url))
        app = create_app(settings, server.settings(), clock)
        async with running(app) as client:
            for number in range(100, 110):
                node = uuid(number)
                assert (await post(client, "node", token, id=node)).status_code == 201
                devices = [uuid(1000 * number + each) for each in range(6)]
                await asyncio.gather(
                    *(post(client, "device", token, id=each, node_id=node) for each in devices[:3]),
                    client.delete(f"{REGISTRATION}/resource/nodes/{node}", headers=bearer(token)),
                    *(post(client, "device", token, id=each, node_id=node) for each in devices[3:]),
                )
        registry = app.state.registry
        assert not registry["nodes"]
        assert not registry["devices"]
