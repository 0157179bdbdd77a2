"""What AMWA's testing tool asks of each API of a protected Node (its `GenericTest.basics`)."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx2
import pytest

from example_node import Settings, create_app
from tests.example_node.support import HOST, ManualClock, assert_error, running
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import settings_for
from tests.support.tls import TestAuthority
from tests.support.tokens import signing_key


@pytest.fixture
async def client(
    authority: FakeAuthorizationServer,
    tls: TestAuthority,
    node_settings: Settings,
    clock: ManualClock,
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the running Node, which trusts one Authorization Server."""
    settings = settings_for(tls, authority, audience=HOST)
    async with running(create_app(node_settings, settings, clock)) as client:
        yield client


async def base_paths(client: httpx2.AsyncClient) -> list[tuple[str, str]]:
    """The name and the versioned base path of each API that the Node lists."""
    names = [name.rstrip("/") for name in (await client.get("/x-nmos/")).json()]
    described = (await client.get("/openapi.json")).json()["paths"]
    found = [
        (name, path)
        for name in names
        for path in described
        if path.startswith(f"/x-nmos/{name}/v") and path.count("/") == 3
    ]
    assert {name for name, _ in found} == set(names)
    return found


async def get(client: httpx2.AsyncClient, path: str, token: str | None) -> httpx2.Response:
    """Send a token, again and again as long as the Node fetches keys for it."""
    headers = {"Origin": "https://controller.example.com"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with asyncio.timeout(10):
        while True:
            response = await client.get(path, headers=headers)
            if response.status_code != 503:
                return response
            assert_error(response, 503)
            assert int(response.headers["retry-after"]) >= 1
            # Nothing that a client sees tells when the keys have come, but an answer.
            await asyncio.sleep(0.01)


def only(api: str) -> dict[str, object]:
    """The claims of a token for one API, as the tool makes them."""
    return {
        "aud": [f"https://*.{HOST.partition('.')[2]}"],
        "scope": api,
        "x_nmos_node": None,
        "x_nmos_connection": None,
        f"x_nmos_{api}": {"read": ["*"], "write": ["*"]},
    }


@dataclass(frozen=True)
class Case:
    """Changes to a good token, and what the Node answers."""

    status: int
    error: str
    changes: dict[str, object] = field(default_factory=dict)


CASES = {
    "good": Case(200, ""),
    "expired": Case(401, "invalid_token", {"iat": time.time() - 7200, "exp": time.time() - 3600}),
    "for another audience": Case(
        403, "insufficient_scope", {"aud": ["https://*.nmos.example.com"]}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_tokens_on_every_base_path(
    client: httpx2.AsyncClient, authority: FakeAuthorizationServer, case: Case
) -> None:
    """Each API answers alike, with the error code unquoted and after no space."""
    for api, path in await base_paths(client):
        token = authority.token(**{**only(api), **case.changes})
        response = await get(client, path, token)
        assert response.status_code == case.status, path
        if case.error:
            assert_error(response, case.status)
            scheme, _, parameters = response.headers["www-authenticate"].partition(" ")
            assert scheme == "Bearer"
            assert f"error={case.error}" in parameters.split(",")


async def test_no_token_and_no_jwt_on_every_base_path(client: httpx2.AsyncClient) -> None:
    """Without a token there is a challenge without an error; what is not a token is invalid."""
    for _, path in await base_paths(client):
        missing = await get(client, path, None)
        assert_error(missing, 401)
        assert missing.headers["www-authenticate"].startswith("Bearer ")
        assert "error=" not in missing.headers["www-authenticate"]
        rubbish = await get(client, path, str(uuid.uuid4()))
        assert_error(rubbish, 401)
        assert "error=invalid_token" in rubbish.headers["www-authenticate"].split(",")


async def test_the_scope_alone_reads_every_base_path(
    client: httpx2.AsyncClient, authority: FakeAuthorizationServer
) -> None:
    """A scope without a claim is enough for the base path; that of another API is not."""
    for api, path in await base_paths(client):
        claim = {f"x_nmos_{api}": None}
        response = await get(client, path, authority.token(**{**only(api), **claim}))
        assert response.status_code == 200, path
        elsewhere = authority.token(
            **{**only(api), **claim, "scope": "nonsense", "x_nmos_nonsense": {"read": ["*"]}}
        )
        refused = await get(client, path, elsewhere)
        assert_error(refused, 403)
        assert "error=insufficient_scope" in refused.headers["www-authenticate"].split(",")


async def test_an_unknown_path_is_404_in_every_api(
    client: httpx2.AsyncClient, authority: FakeAuthorizationServer
) -> None:
    """What may be read and is not there has an NMOS error body."""
    for api, path in await base_paths(client):
        for unknown in (f"{path}/{uuid.uuid4()}", f"{path}/{uuid.uuid4()}/"):
            assert_error(await get(client, unknown, authority.token(**only(api))), 404)


@pytest.fixture
def neighbour(tls: TestAuthority) -> Iterator[FakeAuthorizationServer]:
    """A second Authorization Server on the host of the first, which nothing tells the Node of."""
    with FakeAuthorizationServer([signing_key(1)]).running(tls) as server:
        yield server


async def test_a_token_of_an_unknown_server_on_a_known_host(
    client: httpx2.AsyncClient, neighbour: FakeAuthorizationServer
) -> None:
    """Its keys are fetched: 503 with Retry-After at first, and then 200 with the same token."""
    (api, path), *_ = await base_paths(client)
    token = neighbour.token(**only(api))
    first = await client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert first.status_code == 503
    assert (await get(client, path, token)).status_code == 200
