"""No secret is in a log, an error or a traceback, whatever a server says about what it was sent."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nmos_auth.client import AuthorizationClient, BearerAuth, ClientError
from nmos_auth.client.errors import quoted
from nmos_auth.client.grants.grants import code_of
from tests.client.conftest import MakeClientSettings
from tests.client.development_server import CONTROLLER
from tests.client.scripted import WELL_KNOWN, Asked, Refusal, ScriptedServer
from tests.support.tls import TestAuthority

INITIAL = "initial-access/token+of24characters="
CODE = "code/with+signs=that-forms-escape"
REFRESH = "refresh/token+with=signs" + "x" * 40
SECRET_PARAMETERS = (
    *("code", "code_verifier", "client_assertion", "refresh_token", "token", "client_secret"),
)
ISSUED = ("access_token", "refresh_token", "client_secret", "registration_access_token")


@dataclass
class Parrot:
    """A server that repeats in its answers whatever it was sent and has issued.

    Attributes:
        server: whose answers it makes.
        secrets: all that were sent to it, and that it issued.
        misbehaving: makes an answer of what is to be repeated; None while it behaves.
    """

    server: ScriptedServer
    secrets: set[str] = field(default_factory=set)
    misbehaving: Callable[[str], object] | None = None

    def __call__(self, asked: Asked) -> object:
        """Answer a request."""
        credentials = asked.headers.get("authorization", "").partition(" ")[2]
        sent = [credentials]
        if asked.headers.get("content-type", "").startswith("application/x-www-form"):
            sent += [asked.form[name] for name in SECRET_PARAMETERS if name in asked.form]
        self.secrets.update(filter(None, sent))
        if self.misbehaving is not None:
            spelt = [each for secret in sorted(self.secrets) for each in spellings(secret)]
            said = f"{asked.body.decode()} {' '.join(spelt)}"
            return self.misbehaving(said)
        return self._honest(asked)

    def _honest(self, asked: Asked) -> object:
        answer: object = {}
        if asked.path == "/register":
            answer = self.server.registration(
                asked,
                client_secret="client.secret/with+signs=and:a%41colon",
                registration_access_token="registration-access/token+of=24",
                registration_client_uri=f"{self.server.issuer}/register/1",
            )
        elif asked.path == "/token":
            answer = self.server.token(
                access_token="access.token/of+the-client=", refresh_token=REFRESH
            )
        if isinstance(answer, dict):
            self.secrets.update(str(answer[name]) for name in ISSUED if name in answer)
        return Refusal(201, answer) if asked.path == "/register" else answer


def spellings(secret: str) -> set[str]:
    """Return a secret as it is, and as forms and URLs have it."""
    return {secret, quote_plus(secret), quote(secret, safe="")}


MISBEHAVIOUR: dict[str, Callable[[str], object]] = {
    "description": lambda said: Refusal(
        400, {"error": "invalid_request", "error_description": said}
    ),
    "code": lambda said: Refusal(400, {"error": said}),
    "page": lambda said: Refusal(400, f"<html>{said}".encode()),
    "crash": lambda said: Refusal(500, {"error": "server_error", "error_description": said}),
    "nothing of the RFC's": lambda said: {"error_description": said, "token_type": said},
    "no JSON": lambda said: Refusal(200, said.encode()),
    "wrong types": lambda said: {
        "access_token": [said],
        "expires_in": said,
        "client_id": [said],
        "token_type": "Bearer",
        "client_secret": 5,
    },
    "too large": lambda said: Refusal(200, said.encode() * 3000),
}


# To revoke and to delete are done with whatever answer says success.
REFUSALS = {"description", "code", "page", "crash"}


@dataclass
class Heard:
    """Everything that could be read afterwards."""

    caplog: pytest.LogCaptureFixture
    errors: list[ClientError] = field(default_factory=list)

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Note the error with which something ends."""
        with pytest.raises(ClientError) as caught:
            yield
        self.errors.append(caught.value)

    def text(self) -> str:
        """Return it all: logs, messages, members, tracebacks."""
        shown = [self.caplog.text]
        for error in self.errors:
            shown += [repr(error), str(error.__dict__), *traceback.format_exception(error)]
        return "\n".join(shown)


@pytest.mark.parametrize(
    "said",
    [
        "The redirect_uri https://controller.example.com/callback/cf3bb0ff is not registered.",
        "token_endpoint_auth_signing_alg: must be RS512",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer is not offered",
    ],
)
def test_what_servers_say_is_quoted(said: str) -> None:
    """Names and URLs stay readable."""
    assert quoted(said) == said


@given(st.text(st.sampled_from("abcXYZ019-._~+/%:&=? "), min_size=6, max_size=60), st.data())
def test_no_secret_is_quoted(secret: str, data: st.DataObject) -> None:
    """Whatever it looks like, and in whichever spelling it comes back."""
    spelt = data.draw(st.sampled_from(sorted(spellings(secret))))
    shown = quoted(f"error in {spelt}, you sent it", [secret])
    assert shown is not None
    assert shown.startswith("error in ")
    assert spelt not in shown or spelt in "error in [secret], you sent it"


@pytest.fixture
def parrot(server: ScriptedServer) -> Parrot:
    """Put a parrot in the place of the honest answers."""
    parrot = Parrot(server)
    for path in ("/token", "/register", "/register/1", "/revoke"):
        server.answers[path] = parrot
    return parrot


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Heard:
    """Listen to every logger."""
    caplog.set_level(logging.DEBUG)
    return Heard(caplog)


@pytest.mark.parametrize("how", MISBEHAVIOUR)
@pytest.mark.parametrize("method", ["client_secret_basic", "private_key_jwt"])
async def test_a_node(
    parrot: Parrot,
    heard: Heard,
    make_settings: MakeClientSettings,
    store_file: Path,
    how: str,
    method: str,
) -> None:
    """Registration, its management, and client_credentials."""
    settings = make_settings(
        parrot.server.issuer,
        auth_method=method,
        jwks_uri="https://node.example.com/jwks",
        initial_access_token=INITIAL,
        store=store_file,
    )
    parrot.misbehaving = MISBEHAVIOUR[how]
    async with AuthorizationClient(settings) as client:
        with heard.failing():
            await client.obtain()
        parrot.misbehaving = None
        await client.obtain()
        parrot.misbehaving = MISBEHAVIOUR[how]
        server = client.servers.at(parrot.server.issuer)
        with heard.failing():
            await client.tokens().token()
        if how in REFUSALS:
            with heard.failing():
                await server.deregister()
    changed = settings.model_copy(update={"name": "Another name"})
    async with AuthorizationClient(changed) as client:
        with heard.failing():
            await client.obtain()
        private = [] if method != "private_key_jwt" else _private_parts(client)
    assert len(parrot.secrets) >= 4
    _assert_silent(heard, {INITIAL, *parrot.secrets, *private})


@pytest.mark.parametrize("how", MISBEHAVIOUR)
async def test_a_controller(
    parrot: Parrot, heard: Heard, make_settings: MakeClientSettings, store_file: Path, how: str
) -> None:
    """Exchange of a code, refresh, and revocation."""
    settings = make_settings(parrot.server.issuer, **CONTROLLER, store=store_file)
    async with AuthorizationClient(settings) as client:
        server = client.servers.at(parrot.server.issuer)
        pending = await server.begin_authorization(["query"])
        state = pending.state.get_secret_value()
        code = code_of(pending, [("state", state), ("code", CODE)])
        parrot.misbehaving = MISBEHAVIOUR[how]
        with heard.failing():
            await server.exchange_code(pending, code)
        parrot.misbehaving = None
        authorization = client.authorization_at(server)
        await authorization.begin(await server.exchange_code(pending, code), ["query"])
        await authorization.obtain()
        parrot.misbehaving = MISBEHAVIOUR[how]
        with heard.failing():
            await authorization.obtain()
        if how in REFUSALS:
            with heard.failing():
                await server.revoke(SecretStr(REFRESH))
    assert {CODE, REFRESH} < parrot.secrets
    _assert_silent(heard, {state, pending.verifier.get_secret_value(), *parrot.secrets})


async def test_a_request(
    parrot: Parrot, heard: Heard, make_settings: MakeClientSettings, tls: TestAuthority
) -> None:
    """A request that cannot be sent shows no token; nor does what holds one."""
    async with AuthorizationClient(make_settings(parrot.server.issuer)) as client:
        source = client.tokens()
        held = await source.token()
        auth = BearerAuth(source, ["https://localhost:1"])
        async with httpx.AsyncClient(auth=auth, verify=tls.client_context()) as http:
            with pytest.raises(httpx.ConnectError) as caught:
                await http.get("https://localhost:1/x-nmos/")
        shown = "".join(traceback.format_exception(caught.value)) + repr(held) + repr(source)
        shown += repr(await client.servers.at(parrot.server.issuer).registration())
    assert held.value.get_secret_value() in parrot.secrets
    assert not [each for each in parrot.secrets if each in shown + heard.text()]


async def test_metadata_that_repeats(
    server: ScriptedServer, heard: Heard, make_settings: MakeClientSettings
) -> None:
    """Metadata is asked for without any credentials, so that nothing can be repeated there."""
    server.answers[WELL_KNOWN] = Refusal(400)
    settings = make_settings(server.issuer, initial_access_token=INITIAL, id="x", secret=CODE)
    async with AuthorizationClient(settings) as client:
        with heard.failing():
            await client.obtain()
    assert not [asked for asked in server.asked if "authorization" in asked.headers]
    _assert_silent(heard, {INITIAL, CODE})


def _private_parts(client: AuthorizationClient) -> list[str]:
    key = client.keys.current.as_dict(private=True)
    return [str(key[name]) for name in ("d", "p", "q", "dp", "dq", "qi")]


def _assert_silent(heard: Heard, secrets: set[str]) -> None:
    text = heard.text()
    told = {each for secret in secrets for each in spellings(secret) if each in text}
    assert told == set()
    assert all(error.__cause__ is None for error in heard.errors)
    assert {error.code for error in heard.errors} <= {"invalid_request", "server_error", None}
