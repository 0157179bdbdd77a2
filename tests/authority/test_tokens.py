"""Access Tokens as Resource Servers get them (IS-10 "Behaviour: Access Tokens")."""

from __future__ import annotations

import time

import jwt
import pytest

from nmos_auth import ConfigurationError
from nmos_auth.authority import SigningKeys, TokenIssuer
from tests.authority.support import CONTROLLER, MONITOR, NODE, Served, cached_keys
from tests.support.clocks import Clock


def test_the_answer_is_that_of_rfc_6749(server: Served) -> None:
    """Section 5.1: token, type, lifetime and scope, no refresh token, stored by nobody."""
    response = server.ask("connection node")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    token = answer.pop("access_token")
    assert answer == {"token_type": "Bearer", "expires_in": 60, "scope": "connection node"}
    assert jwt.get_unverified_header(token) == {
        "typ": "JWT",
        "alg": "RS512",
        "kid": server.authority.keys.current.kid,
    }


def test_the_claims_are_those_of_is_10(server: Served) -> None:
    """Every required claim is there, `aud` is an array, and times are whole seconds of now."""
    before = int(time.time())
    claims = dict(server.verified(server.token("connection query")))
    issued_at = claims.pop("iat")
    assert isinstance(issued_at, int)
    assert before <= issued_at <= time.time()
    jti = claims.pop("jti")
    assert isinstance(jti, str)
    assert len(jti) >= 20
    assert claims == {
        "iss": server.issuer,
        "sub": CONTROLLER.client_id,
        "aud": ["*.example.com", "https://node-*.example.org"],
        "exp": issued_at + 60,
        "client_id": CONTROLLER.client_id,
        "scope": "connection query",
        "x-nmos-connection": {"read": ["*"], "write": ["single/*"]},
        "x-nmos-query": {"read": ["*"]},
    }


def test_only_granted_scopes_bring_claims(server: Served) -> None:
    """A permission for an API that was not asked for stays out of the token."""
    claims = server.verified(server.token("node query"))
    assert [name for name in claims if name.startswith("x-nmos-")] == ["x-nmos-query"]


def test_a_scope_without_permissions_brings_no_claim(server: Served) -> None:
    """A claim without permissions "MUST be removed to ensure token size is minimised"."""
    claims = server.verified(server.token("node"))
    assert claims["scope"] == "node"
    assert not [name for name in claims if name.startswith("x-nmos-")]


def test_no_two_tokens_have_the_same_id(server: Served) -> None:
    """`jti` differs between tokens of the same second."""
    ids = {server.verified(server.token())["jti"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("scope", "granted"),
    [(None, "node"), ("", "node"), ("query node query", "query node"), ("node", "node")],
)
def test_the_scope_granted_is_the_scope_asked_for(
    server: Served, scope: str | None, granted: str
) -> None:
    """Without one, or with an empty one, it is the client's default; repetitions go."""
    response = server.ask(scope)
    assert response.json()["scope"] == granted
    assert server.verified(response.json()["access_token"])["scope"] == granted


def test_registration_and_events_need_no_permission_for_client_credentials(server: Served) -> None:
    """BCP-003-02 "Authorization Grant Constraints": `registration` is open by default."""
    claims = server.verified(server.token("registration", NODE))
    assert claims["x-nmos-registration"] == {"read": ["*"], "write": ["*"]}


@pytest.mark.parametrize("lifetime", [30, 3600])
def test_an_issuer_of_its_own_signs_for_any_time_and_subject(lifetime: int) -> None:
    """In-process, tokens can be issued for a user and by another clock."""
    clock = Clock(now=1_700_000_000.9)
    keys = SigningKeys(retention=90, clock=clock, new_key=cached_keys())
    issuer = TokenIssuer("https://auth.example.com", keys, lifetime=lifetime, clock=clock)
    issued = issuer.issue(CONTROLLER, ["node"], subject="operator@example.com")
    claims = jwt.decode(
        issued.text,
        keys.current.public_key,
        algorithms=["RS512"],
        options={"verify_exp": False, "verify_aud": False},
    )
    assert claims == issued.claims
    assert (claims["sub"], claims["iat"]) == ("operator@example.com", 1_700_000_000)
    assert claims["exp"] == 1_700_000_000 + lifetime
    assert issued.text not in repr(issued)


@pytest.mark.parametrize("lifetime", [0, 29, 3601])
def test_a_lifetime_outside_the_bounds_of_is_10_is_refused(lifetime: int) -> None:
    """IS-10 "Access Token Lifetime": from 30 seconds to one hour."""
    keys = SigningKeys(retention=90, new_key=cached_keys())
    with pytest.raises(ConfigurationError, match="token_lifetime"):
        TokenIssuer("https://auth.example.com", keys, lifetime=lifetime)


def test_a_client_without_client_credentials_scopes_gets_none(server: Served) -> None:
    """A client whose scopes BCP-003-02 does not open may not use the grant at all."""
    response = server.ask("query", MONITOR)
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")
