"""private_key_jwt: assertions, keys and replay (RFC 7523, IS-10 "Client Authentication")."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

import httpx2
import pytest
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from nmos_auth.authority import Client, RegistrationPolicy, new_signing_key
from nmos_auth.authority.adapters import Reach, RegisteredClient
from nmos_auth.authority.client_keys import ClientKeys
from tests.authority.flows import SIGNER, SIGNER_KEY, assertion, browsing, public_jwks, register
from tests.authority.support import CONTROLLER, CONTROLLER_SECRET, Served, served
from tests.support.clocks import Clock
from tests.support.servers import serving
from tests.support.tls import TestAuthority

OTHER_KEY = new_signing_key()
KEY = SIGNER_KEY
CLIENT_ID = SIGNER.client_id
# A client whose key names the algorithm that it is for.
BOUND = Client(
    client_id="node-with-a-bound-key-0123",
    token_endpoint_auth_method="private_key_jwt",
    jwks={"keys": [KEY.as_dict(private=False, alg="RS512")]},
    audience=("registry.example.com",),
    scopes=("registration",),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """Run a server that knows a client with a key."""
    with served(clients=(CONTROLLER, SIGNER, BOUND)) as running:
        yield running


def ask(server: Served, credentials: dict[str, str], **form: str) -> httpx2.Response:
    """Ask for a token by the Client Credentials grant."""
    data = {"grant_type": "client_credentials", "scope": "registration", **credentials, **form}
    return server.http.post("/token", data=data)


@pytest.mark.parametrize("audience", ["issuer", "token endpoint", "both"])
def test_an_assertion_authenticates(server: Served, audience: str) -> None:
    """RS512, `iss` and `sub` the client, `aud` the issuer or the token endpoint."""
    token_endpoint = f"{server.issuer}/token"
    audiences: dict[str, object] = {
        "issuer": server.issuer,
        "token endpoint": [token_endpoint],
        "both": [server.issuer, token_endpoint],
    }
    response = ask(server, assertion(KEY, CLIENT_ID, audiences[audience]), client_id=CLIENT_ID)
    assert response.status_code == 200, response.text
    assert server.verified(response.json()["access_token"])["client_id"] == CLIENT_ID


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_assertions_are_signed_by_any_rsa_algorithm(server: Served, algorithm: str) -> None:
    """RFC 7523 Section 5 makes RS256 mandatory; IS-10 binds RS512 to Access Tokens only."""
    credentials = assertion(KEY, CLIENT_ID, server.issuer, algorithm=algorithm)
    assert ask(server, credentials).status_code == 200
    bound = ask(server, assertion(KEY, BOUND.client_id, server.issuer, algorithm=algorithm))
    assert bound.status_code == (200 if algorithm == "RS512" else 401)


def test_used_assertions_are_forgotten_when_they_have_expired() -> None:
    """The table of what was used does not grow without end, whoever opens login pages or not."""
    clock = Clock()
    with served(clients=(SIGNER,), clock=clock) as server:
        for _ in range(3):
            for _ in range(5):
                dates = {"iat": int(clock.now), "exp": int(clock.now) + 60}
                credentials = assertion(SIGNER_KEY, CLIENT_ID, server.issuer, dates)
                assert ask(server, credentials).status_code == 200
            row = server.authority._database.one("SELECT count(*) AS number FROM assertion")
            assert row is not None
            assert row["number"] == 5
            clock.now += 120


def test_the_log_says_what_was_wrong(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """An operator learns which claim it was, of a clock say; the client does not."""
    late = {"exp": int(time.time()) - 90, "iat": int(time.time()) - 150}
    with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
        assert ask(server, assertion(KEY, CLIENT_ID, server.issuer, late)).status_code == 401
    assert "client assertion refused: it expired 9" in caplog.text


def test_an_assertion_serves_once(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 7523 Section 3: its `jti` is remembered, also when requests come at the same time."""
    credentials = assertion(KEY, CLIENT_ID, server.issuer)
    statuses: list[int] = []

    def send() -> None:
        statuses.append(ask(server, credentials).status_code)

    threads = [threading.Thread(target=send) for _ in range(5)]
    with caplog.at_level(logging.DEBUG):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200, 401, 401, 401, 401]
    servers = ("nmos_auth", "authlib", "joserfc", "starlette", "uvicorn")
    for record in caplog.records:
        if record.name.startswith(servers):
            assert credentials["client_assertion"] not in record.getMessage()


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody-else-0123456789"},
        {"iss": None},
        {"sub": None},
        {"sub": ["node-with-a-key-0123456789"]},
        {"sub": CONTROLLER.client_id, "iss": CONTROLLER.client_id},
        {"sub": "unknown-0123456789-0123", "iss": "unknown-0123456789-0123"},
        {"aud": None},
        {"aud": []},
        {"aud": "https://other.example.com"},
        {"aud": {"a": "b"}},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 1e300},
        {"exp": int(time.time()) - 1},
        {"exp": int(time.time()) + 7200},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
    ],
)
def test_claims_have_to_be_in_order(server: Served, changes: dict[str, object]) -> None:
    """Whatever is wrong, the answer is the same, and says nothing about which clients exist."""
    response = ask(server, assertion(KEY, CLIENT_ID, server.issuer, changes))
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.json()["error_description"] == "Client authentication failed"


def test_an_assertion_for_others_as_well_is_refused(server: Served) -> None:
    """Two servers that take the same assertion could each use it at the other."""
    credentials = assertion(KEY, CLIENT_ID, [server.issuer, "https://other.example.com"])
    assert ask(server, credentials).json()["error"] == "invalid_client"


def tampered(server: Served) -> Iterator[dict[str, str]]:
    """Yield assertions whose form or signature is wrong."""
    good = assertion(KEY, CLIENT_ID, server.issuer)
    header, payload, signature = good["client_assertion"].split(".")
    for text in (
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        "a.b.c",
        "x" * 20_000,
    ):
        yield {**good, "client_assertion": text}
    yield assertion(OTHER_KEY, CLIENT_ID, server.issuer)
    # A signature that is good, by a key that is for another algorithm.
    yield assertion(KEY, BOUND.client_id, server.issuer, algorithm="RS256")
    crit: object
    for crit in ([1], [None], [{}], [["x"]], [True], [], "exp", ["exp"], {}):
        yield assertion(KEY, CLIENT_ID, server.issuer, header={"crit": crit})
    yield assertion(KEY, CLIENT_ID, server.issuer, header={"b64": False, "crit": ["b64"]})
    yield assertion(KEY, CLIENT_ID, server.issuer, header={"alg": ["RS512"]})
    yield assertion(KEY, CLIENT_ID, server.issuer, header={"typ": 5, "x5c": {"a": 1}, "jwk": []})
    yield {**good, "client_assertion_type": "urn:example:other"}
    yield {"client_assertion": good["client_assertion"]}
    yield {"client_assertion_type": good["client_assertion_type"]}


def test_only_the_clients_key_signs_for_it(server: Served) -> None:
    """Broken, unsigned, signed by another key or algorithm, or of another type: refused."""
    for credentials in tampered(server):
        response = ask(server, credentials)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_one_method_at_a_time(server: Served) -> None:
    """RFC 6749 Section 2.3: an assertion beside a secret is a malformed request."""
    credentials = assertion(KEY, CLIENT_ID, server.issuer)
    data = {"grant_type": "client_credentials", "scope": "registration", **credentials}
    basic = server.http.post("/token", data=data, auth=server.basic())
    posted = ask(server, credentials, client_secret="x")
    other = ask(server, credentials, client_id=CONTROLLER.client_id)
    for response in (basic, posted, other):
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_each_client_has_its_own_method(server: Served) -> None:
    """A client with a key has no secret, and one with a secret is not trusted by a key."""
    response = server.http.post(
        "/token", data={"grant_type": "client_credentials"}, auth=(CLIENT_ID, "")
    )
    assert response.json()["error"] == "invalid_client"
    controller = assertion(KEY, CONTROLLER.client_id, server.issuer)
    assert ask(server, controller).json()["error"] == "invalid_client"
    # client_secret_post is not offered.
    form = {"client_id": CONTROLLER.client_id, "client_secret": CONTROLLER_SECRET}
    assert ask(server, form).json()["error"] == "invalid_client"


class KeyHost:
    """A client's own server, which counts how often its keys are fetched."""

    def __init__(self) -> None:
        self.keys: list[RSAKey] = [KEY]
        self.fetched = 0
        self.answer: Callable[[], Response] | None = None

    async def jwks(self, _: Request) -> Response:
        """Answer with the keys, or as a test has it."""
        self.fetched += 1
        return self.answer() if self.answer else JSONResponse(public_jwks(*self.keys))


@contextlib.contextmanager
def fetching(
    tls: TestAuthority | None,
) -> Iterator[tuple[Served, KeyHost, Callable[[RSAKey], int]]]:
    """Run a server and a client that registered a `jwks_uri`, over TLS or without."""
    host = KeyHost()
    app = Starlette(routes=[Route("/jwks", host.jwks)])
    context = None if tls is None else tls.server_context("localhost")
    with serving(app, tls=context, lifespan="off") as port, served(tls=tls) as server:
        scheme = "http" if tls is None else "https"
        client = register(
            server,
            token_endpoint_auth_method="private_key_jwt",
            jwks_uri=f"{scheme}://localhost:{port}/jwks",
        )

        def status(key: RSAKey) -> int:
            form = {"token": "x", **assertion(key, client.client_id, server.issuer)}
            return server.http.post("/revoke", data=form).status_code

        yield server, host, status


def test_keys_are_fetched_once_and_again_for_a_new_one(tls: TestAuthority) -> None:
    """Over verified TLS; an unknown `kid` fetches again, but not for every request."""
    with fetching(tls) as (_, host, status):
        assert [status(KEY) for _ in range(3)] == [200, 200, 200]
        assert host.fetched == 1
        assert [status(OTHER_KEY) for _ in range(3)] == [401, 401, 401]
        assert host.fetched == 1
        host.keys.append(OTHER_KEY)
        deadline = time.monotonic() + 10
        while status(OTHER_KEY) != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert host.fetched <= 3
        assert status(KEY) == 200


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(status_code=500),
        lambda: RedirectResponse("/elsewhere"),
        lambda: Response("[" * 100_000, media_type="application/json"),
        lambda: Response(b"x" * 300_000, media_type="application/json"),
        lambda: JSONResponse({"keys": "none"}),
        lambda: JSONResponse(KEY.as_dict(private=True)),
        lambda: JSONResponse({"keys": [KEY.as_dict(private=True)]}),
    ],
    ids=["500", "redirect", "nested", "large", "no list", "a key alone", "private"],
)
def test_keys_that_cannot_be_had_authenticate_nobody(answer: Callable[[], Response]) -> None:
    """The client is refused in good order, and the server goes on."""
    with fetching(None) as (server, host, status):
        host.answer = answer
        assert status(KEY) == 401
        assert server.ask().status_code == 200


def test_a_node_of_nmos_cpp_gets_its_tokens(tls: TestAuthority) -> None:
    """It registers by itself, asks for every response type, and signs RS256 by a key for that."""
    host = KeyHost()
    host.answer = lambda: JSONResponse(
        {"keys": [KEY.as_dict(private=False, alg="RS256", use="sig", kid="1")]}
    )
    app = Starlette(routes=[Route("/x-nmos/node/v1.3/jwks", host.jwks)])
    policy = RegistrationPolicy(open_client_credentials=True)
    with (
        serving(app, tls=tls.server_context("localhost"), lifespan="off") as port,
        served(tls=tls, registration=policy) as server,
    ):
        registration = {
            "client_name": "nmos-cpp-node",
            "grant_types": ["client_credentials"],
            "response_types": ["code", "token"],
            "scope": "registration",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": f"https://localhost:{port}/x-nmos/node/v1.3/jwks",
        }
        client_id = server.http.post("/register", json=registration).json()["client_id"]
        audience = f"{server.issuer}/token"
        signed = assertion(KEY, client_id, audience, algorithm="RS256", header={"kid": "1"})
        answer = ask(server, signed)
        assert answer.status_code == 200, answer.text
        assert server.verified(answer.json()["access_token"])["client_id"] == client_id


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://localhost:{port}/jwks", "must not be on loopback"),
        ("https://127.0.0.1:{port}/jwks", "must not be on loopback"),
        # A name that only the resolver knows to be of this machine.
        ("https://127.1:{port}/jwks", "no address that may be connected to"),
    ],
)
async def test_strangers_send_the_server_to_no_address_of_its_own(
    tls: TestAuthority, caplog: pytest.LogCaptureFixture, uri: str, reason: str
) -> None:
    """What somebody elsewhere registered without a token is not fetched from loopback."""
    host = KeyHost()
    app = Starlette(routes=[Route("/jwks", host.jwks)])
    with serving(app, tls=tls.server_context("localhost"), lifespan="off") as port:
        known = SIGNER.model_copy(update={"jwks": None, "jwks_uri": uri.format(port=port)})
        keys = ClientKeys(ca_file=tls.ca_file, allow_http=False, monotonic=time.monotonic)
        with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
            assert not await keys.keys_of(
                RegisteredClient(known, None, reach=Reach.ELSEWHERE), None
            )
        assert reason in caplog.text
        assert host.fetched == 0
        if "//localhost:" in uri:
            assert await keys.keys_of(RegisteredClient(known, None), None)


def test_a_registered_client_authenticates_by_jwks(server: Served) -> None:
    """IS-10 lets clients register `jwks` where RFC 7592 lets them update it."""
    client = register(server, token_endpoint_auth_method="private_key_jwt", jwks=public_jwks(KEY))
    assert "client_secret" not in client.document
    with browsing(server) as browser:
        code = browser.code(client.request())
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.request()["redirect_uri"],
    }
    good = assertion(KEY, client.client_id, server.issuer)
    wrong = assertion(OTHER_KEY, client.client_id, server.issuer)
    assert server.http.post("/token", data={**form, **wrong}).json()["error"] == "invalid_client"
    response = server.http.post("/token", data={**form, **good})
    assert response.status_code == 200, response.text
