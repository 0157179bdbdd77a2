"""Both halves with the answers of widespread Authorization Servers, over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nmos_auth import Settings
from nmos_auth.client import AuthorizationClient, ClientSettings, TokenRefused
from tests.products.server import ProductServer
from tests.products.table import PRODUCTS, Product
from tests.support.audit import lines_of
from tests.support.scene import protected
from tests.support.tls import TestAuthority

PERMISSIONS = {"x-nmos-node": {"read": ["*"]}}
OTHER_SERVERS = Path(__file__).parents[2] / "docs" / "other-servers.md"


@pytest.fixture(scope="module")
def running_server(tls: TestAuthority) -> Iterator[ProductServer]:
    """Run the server for all of them."""
    with ProductServer().running(tls) as server:
        yield server


@pytest.fixture(params=PRODUCTS, ids=lambda product: product.name)
def server(request: pytest.FixtureRequest, running_server: ProductServer) -> ProductServer:
    """Return it as one product."""
    product: Product = request.param
    return running_server.be(product)


def client_settings(server: ProductServer, tls: TestAuthority, **changes: object) -> ClientSettings:
    """Make settings of a Node that gets tokens there."""
    values: dict[str, object] = {
        "name": "Example Node 0001",
        "scope": "registration",
        "auth_method": "client_secret_basic",
        "servers": server.issuer,
        "ca_file": tls.ca_file,
        "discovery": "off",
    }
    return ClientSettings(**(values | server.product.client | changes))


def test_a_node_finds_keys_and_reads_tokens(
    server: ProductServer, tls: TestAuthority, tmp_path: Path
) -> None:
    """The algorithm is RS512 or the log names the other; beyond that the shape decides."""
    log = tmp_path / "audit.log"
    settings = Settings(
        audience="node1.example.com",
        servers=server.issuer,
        ca_file=tls.ca_file,
        audit_log=str(log),
    )
    product = server.product
    status, words = product.refused or (200, "")
    token, own = (server.token(each, **PERMISSIONS) for each in ("RS512", product.algorithm))
    with protected(settings) as node:
        node.until(lambda: token, status)
        assert node.status(own) == (status if product.algorithm == "RS512" else 401)
    *_, last, other = lines_of(log)
    assert last["iss"] == server.issuer
    assert words in (last["detail"] or "")
    if product.refused is None:
        assert last["client_id"] == (product.claims.get("client_id") or product.claims["azp"])
    if product.algorithm != "RS512":
        assert other["detail"] == f"alg is '{product.algorithm}', and must be 'RS512'"


async def test_a_client_gets_tokens(server: ProductServer, tls: TestAuthority) -> None:
    """It registers where that is offered, and reads the answer to its request for a token."""
    async with AuthorizationClient(client_settings(server, tls)) as client:
        granted = await client.obtain()
        assert [granted.access_token.get_secret_value()] == server.issued
        assert granted.lifetime == int(str(server.product.issued["expires_in"]))
        registration = await client.servers.at(server.issuer).registration()
        assert registration.manual == (server.product.registered is None)
        assert registration.managed == bool(server.product.managed)


async def test_a_client_that_is_not_known_any_more(
    server: ProductServer, tls: TestAuthority
) -> None:
    """It is told so with an advice, whatever the words, and asks where there is management."""
    async with AuthorizationClient(client_settings(server, tls)) as client:
        await client.obtain()
        server.known = False
        with pytest.raises(TokenRefused) as caught:
            await client.obtain()
    assert caught.value.code == server.product.refusal.code
    assert caught.value.rejects_client == (caught.value.code is not None)
    assert (caught.value.advice is not None) == caught.value.rejects_client
    assert bool(server.managed) == bool(server.product.managed)


async def test_a_slash_that_the_setting_leaves_out(
    running_server: ProductServer, tls: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """Where RFC 8414 metadata show that it is missing, both halves go on and say what to set."""
    slashed = next(each for each in PRODUCTS if each.path == "/")
    server = running_server.be(replace(slashed, places=("oauth-authorization-server",)))
    given = server.issuer.removesuffix("/")
    async with AuthorizationClient(client_settings(server, tls, servers=given)) as client:
        await client.obtain()
    settings = Settings(
        audience="node1.example.com",
        servers=given,
        ca_file=tls.ca_file,
        # Otherwise it may be known as a neighbour before it is named.
        issuer_policy="configured",
    )
    token = server.token("RS512", **PERMISSIONS)
    with protected(settings) as node:
        node.until(lambda: token)
    assert f"the metadata of {given} names {server.issuer}" in caplog.text
    assert f"{given} has the metadata of {server.issuer}" in caplog.text


def test_the_page_names_every_one_of_them() -> None:
    """What to set at each of them, and what none of it can mend, stands in the documentation."""
    page = OTHER_SERVERS.read_text("utf-8")
    for product in PRODUCTS:
        assert product.name.partition(",")[0] in page, product.name
