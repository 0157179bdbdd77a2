"""Why a token is or is not enough: the answer is the middleware's, the steps say what decides."""

from __future__ import annotations

import time

import pytest

from nmos_auth import Settings
from nmos_auth.operate.explain import Explanation, Outcome, explain, list_permissions
from nmos_auth.operate.in_process import Request
from tests.support.authority import FakeAuthorizationServer
from tests.support.tokens import claims_of, signing_key

STAGED = "https://node1.example.com/x-nmos/connection/v1.1/single/senders/1/staged"
SELF = "https://node1.example.com/x-nmos/node/v1.3/self"
NODE = {"x-nmos-node": {"read": ["self", "devices/*"]}}


async def explained(
    settings: Settings, token: str | None, method: str = "GET", url: str = SELF
) -> tuple[Explanation, dict[str, str]]:
    """Explain, and return the steps by name too; of several of a name, those that are not good."""
    explanation = await explain(Request(method, url), token, settings)
    steps: dict[str, str] = {}
    for step in explanation.steps:
        if step.good is not True or step.name not in steps:
            steps[step.name] = step.text
    return explanation, steps


async def test_a_token_that_is_enough(
    authority: FakeAuthorizationServer, settings: Settings
) -> None:
    """Keys are waited for, and every step that decides is good."""
    explanation, steps = await explained(settings, authority.token(**NODE))
    assert explanation.outcome is Outcome.PERMITTED
    assert explanation.answer.status == 200
    assert not [step for step in explanation.steps if step.good is False]
    assert "'self' matches" in steps["permission"]
    assert steps["issuer"] == "trusted: servers"
    assert steps["keys"].startswith("held: ")
    assert steps["exp"].startswith("in ")


@pytest.mark.parametrize(
    ("claims", "method", "url", "status", "name", "words"),
    [
        ({"aud": ["https://node1.example.com:8080"]}, "GET", SELF, 403, "aud", "without port"),
        ({"aud": ["other.example.com"]}, "GET", SELF, 403, "aud", "another server; this one is"),
        ({"aud": 7}, "GET", SELF, 401, "aud", "not a string or an array"),
        ({"exp": 1000}, "GET", SELF, 401, "exp", "it has expired"),
        ({"exp": "tomorrow"}, "GET", SELF, 401, "exp", "not a number of seconds"),
        ({"exp": 10**400}, "GET", SELF, 401, "exp", "beyond any date"),
        ({"iat": time.time() + 900}, "GET", SELF, 401, "iat", "in the future"),
        ({"sub": None}, "GET", SELF, 401, "sub", "missing"),
        ({"client_id": ""}, "GET", SELF, 401, "client_id", "is not a string, or is empty"),
        ({"x-nmos-connection": None}, "PATCH", STAGED, 403, "permission", "there is no claim"),
        (
            {"x-nmos-connection": {"read": ["single/*"]}},
            "PATCH",
            STAGED,
            403,
            "permission",
            "has no `write`",
        ),
        (
            {"x-nmos-connection": {"write": ["bulk", "single/senders/2/*"]}},
            "PATCH",
            STAGED,
            403,
            "permission",
            "the nearest is 'single/senders/2/*'",
        ),
        ({"x-nmos-node": "*"}, "GET", SELF, 403, "permission", "is a string, and must be"),
        ({"x-nmos-node": {"read": "*"}}, "GET", SELF, 403, "permission", "not an array of strings"),
        (NODE, "TRACE", SELF, 403, "permission", "no permission covers the method TRACE"),
        (NODE, "GET", f"{SELF}/..%2f", 400, "path", "no canonical form: "),
        (NODE, "GET", "self", 400, "path", "the path does not begin with a slash"),
    ],
)
async def test_a_token_that_is_not_enough(
    claims: dict[str, object],
    method: str,
    url: str,
    status: int,
    name: str,
    words: str,
    authority: FakeAuthorizationServer,
    settings: Settings,
) -> None:
    """The step that decides says what is wrong, in the token's own values; keys do not decide."""
    token = authority.token(**{"scope": "", **NODE, **claims})
    explanation, steps = await explained(settings, token, method, url)
    assert (explanation.outcome, explanation.answer.status) == (Outcome.REFUSED, status)
    assert words in steps[name]
    assert not [step for step in explanation.steps if step.name == "keys" and step.good is False]
    assert token.rpartition(".")[2] not in str(explanation)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("8f14e45f", "an opaque token, not a JWT"),
        ("a.b.c.d.e", "it is encrypted"),
        ("a.b", "2 segments, not 3"),
        ("%.%.%", "its header is not base64url of JSON"),
    ],
)
async def test_what_is_not_a_token(token: str, words: str, settings: Settings) -> None:
    """An opaque token, an encrypted one and rubbish are told apart."""
    explanation, steps = await explained(settings, token)
    assert explanation.outcome is Outcome.REFUSED
    assert words in steps["token"]


async def test_no_token(settings: Settings) -> None:
    """Public paths need none; others are refused."""
    explanation, _ = await explained(settings, None)
    assert (explanation.outcome, explanation.answer.status) == (Outcome.REFUSED, 401)
    explanation, steps = await explained(settings, None, url="https://node1.example.com/x-nmos/")
    assert explanation.outcome is Outcome.PERMITTED
    assert "is public" in steps["path"]


async def test_a_stranger(authority: FakeAuthorizationServer, settings: Settings) -> None:
    """An issuer that is not trusted, and a signature that no key made, are refused."""
    for issuer in ("https://nobody.example.com", authority.issuer):
        token = signing_key(9).sign(claims_of(issuer, iat=time.time() - 3600, **NODE))
        explanation, _ = await explained(settings, token)
        assert explanation.outcome is Outcome.REFUSED
        assert explanation.reason in {"untrusted issuer", "signature"}
        (trusted,) = [step for step in explanation.steps if step.name == "issuer"]
        assert trusted.good is (issuer == authority.issuer)
        assert authority.issuer in trusted.text or trusted.text == "trusted: servers"


async def test_a_server_that_is_down(
    authority: FakeAuthorizationServer, settings: Settings
) -> None:
    """Where keys do not come within the patience, it cannot be told."""
    token = authority.token(**NODE)
    nowhere = settings.model_copy(update={"servers": ("https://localhost:1",)})
    authority.responders.clear()
    explanation = await explain(
        Request("GET", SELF),
        signing_key(3).sign(claims_of("https://localhost:1", **NODE)),
        nowhere,
        patience=0.1,
    )
    assert explanation.outcome is Outcome.UNKNOWN
    assert token


async def test_a_handshake(authority: FakeAuthorizationServer, settings: Settings) -> None:
    """`ws` asks for a WebSocket, by the rules of handshakes."""
    url = "wss://node1.example.com/x-nmos/events/v1.0/"
    token = authority.token(**{"x-nmos-events": {"read": ["sources/*"]}})
    explanation, _ = await explained(settings, token, "ws", url)
    assert (explanation.outcome, explanation.answer.status) == (Outcome.PERMITTED, 101)
    explanation, _ = await explained(settings, authority.token(scope=""), "ws", url)
    assert (explanation.outcome, explanation.answer.status) == (Outcome.REFUSED, 403)


def test_all_that_a_token_permits() -> None:
    """API by API, from claims and scopes."""
    token = signing_key(0).sign(
        claims_of(
            "https://auth.example.com",
            scope="query node",
            **{"x-nmos-node": {"read": ["*"]}, "x-nmos-connection": {"write": ["single/*"]}},
        )
    )
    assert list_permissions(token) == [
        "connection: write single/*",
        "node: read *",
        "query: its base path may be read",
    ]
    assert list_permissions("opaque") == ["it is an opaque token, not a JWT"]
