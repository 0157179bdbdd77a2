"""A real development Authorization Server on loopback, and clients of it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
import jwt
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from nmos_auth.authority import (
    Authority,
    AuthoritySettings,
    Client,
    Permissions,
    RegistrationPolicy,
    User,
    create_authority,
    hash_password,
    new_signing_key,
)
from tests.support.scene import http_client
from tests.support.servers import serving
from tests.support.tls import TestAuthority

__all__ = [
    "CONTROLLER",
    "CONTROLLER_SECRET",
    "MONITOR",
    "NODE",
    "NODE_SECRET",
    "PASSWORD",
    "USER",
    "Served",
    "cached_keys",
    "form_quote",
    "served",
]

CONTROLLER_SECRET = "controller secret: 50% + 7 = 57 / 7"
NODE_SECRET = "node-secret-0123456789"

CONTROLLER = Client(
    client_id="controller:of studio 1",
    client_secret=SecretStr(CONTROLLER_SECRET),
    audience=("*.example.com", "https://node-*.example.org"),
    scopes=("node", "connection", "query", "events"),
    default_scopes=("node",),
    client_credentials_scopes=("node", "connection", "query"),
    permissions={
        "connection": Permissions(read=("*",), write=("single/*",)),
        "query": Permissions(read=("*",)),
        "events": Permissions(),
    },
)
NODE = Client(
    client_id="node-0123456789-0123456789",
    client_secret=SecretStr(NODE_SECRET),
    audience=("registry.example.com",),
    scopes=("registration", "query"),
    permissions={"registration": Permissions(read=("*",), write=("*",))},
)
MONITOR = Client(
    client_id="monitor-0123456789-0123",
    client_secret=SecretStr(NODE_SECRET),
    audience=("*.example.com",),
    scopes=("query",),
)
PASSWORD = "correct <horse> battery"
USER = User(name="operator", password_hash=SecretStr(hash_password(PASSWORD)))


@functools.cache
def _key(number: int) -> RSAKey:
    return new_signing_key()


def cached_keys() -> Callable[[], RSAKey]:
    """Return a source of keys that are made once for all tests, and differ for each caller."""
    numbers = itertools.count()
    return lambda: _key(next(numbers))


@dataclass(frozen=True)
class Served:
    """A running Authorization Server and an HTTP client for it."""

    authority: Authority
    http: httpx2.Client

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.authority.settings.issuer

    def basic(self, client: Client = CONTROLLER) -> httpx2.BasicAuth:
        """Return the credentials of a client as RFC 6749 Section 2.3.1 encodes them."""
        secret = client.client_secret.get_secret_value()
        return httpx2.BasicAuth(form_quote(client.client_id), form_quote(secret))

    def ask(self, scope: str | None = "node", client: Client = CONTROLLER) -> httpx2.Response:
        """Ask for a token by the Client Credentials grant."""
        form = {"grant_type": "client_credentials"}
        if scope is not None:
            form["scope"] = scope
        return self.http.post(
            self.authority.settings.url("/token"), data=form, auth=self.basic(client)
        )

    def token(self, scope: str = "node", client: Client = CONTROLLER) -> str:
        """Get a token."""
        response = self.ask(scope, client)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def published(self) -> list[str]:
        """Return the `kid` of each key in the JWKS, in order."""
        response = self.http.get(self.authority.settings.url("/jwks"))
        return [key["kid"] for key in response.json()["keys"]]

    def verified(self, token: str) -> Mapping[str, object]:
        """Verify a token with PyJWT by the published keys, and give its claims."""
        document = self.http.get(self.authority.settings.url("/jwks")).json()
        keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys}
        claims: Mapping[str, object] = jwt.decode(
            token,
            keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=["RS512"],
            issuer=self.issuer,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"], "verify_aud": False},
        )
        return claims


def form_quote(text: str) -> str:
    """Encode as `application/x-www-form-urlencoded`, by httpx2 and not by the package's means."""
    return str(httpx2.QueryParams({"": text})).removeprefix("=")


class _Later:
    """An app that is made once the port it is served on is known."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@contextlib.contextmanager
def served(
    *,
    path: str = "",
    tls: TestAuthority | None = None,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    token_lifetime: int = 60,
    clients: tuple[Client, ...] = (CONTROLLER, NODE, MONITOR),
    users: tuple[User, ...] = (USER,),
    registration: RegistrationPolicy | None = None,
    refresh_lifetime: int = 3600,
    database: Path | None = None,
    on_port: int = 0,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    new_key: Callable[[], RSAKey] | None = None,
) -> Iterator[Served]:
    """Serve an Authorization Server with the clients and the user above until the block ends.

    `around` makes another app of its own, one that counts requests say; `new_key` makes keys where
    those that every run shares will not do.
    """
    later = _Later()
    server_context = None if tls is None else tls.server_context("localhost")
    with (
        contextlib.ExitStack() as afterwards,
        serving(later, tls=server_context, lifespan="off", port=on_port) as port,
    ):
        origin = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
        authority = create_authority(
            AuthoritySettings(
                issuer=origin + path,
                clients=clients,
                token_lifetime=token_lifetime,
                allow_http=tls is None,
                users=users,
                registration=registration or RegistrationPolicy(),
                refresh_lifetime=refresh_lifetime,
                database=database,
                ca_file=None if tls is None else tls.ca_file,
            ),
            clock=clock,
            monotonic=monotonic,
            new_key=new_key or cached_keys(),
        )
        # Its database is closed when no request is under way any more.
        afterwards.callback(authority.close)
        later.app = around(authority.app)
        with http_client(origin, tls) as http:
            yield Served(authority, http)
