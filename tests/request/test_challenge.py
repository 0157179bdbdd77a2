"""Refusals as the client sees them: RFC 6750 Section 3, IS-04 "APIs" Error Codes & Responses."""

from __future__ import annotations

import json
import re

import pytest

from nmos_auth.errors import (
    AuthorizationError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    MalformedTarget,
    MissingCredentials,
    OwnersUnavailable,
    Reason,
    UnfitResource,
)
from nmos_auth.request.challenge import answer_to
from tests.support.parsed import access_token_of
from tests.test_errors import KINDS

REALM = "node1.example.com"


def field(error: AuthorizationError, name: str) -> str | None:
    """Return a header field of the answer, which is there once at most."""
    headers = answer_to(error, REALM).headers
    values = [value.decode() for key, value in headers if key == name.encode()]
    assert len(values) <= 1
    return values[0] if values else None


@pytest.mark.parametrize(
    ("error", "status", "challenge"),
    [
        # Contract: `Bearer realm="…",error=invalid_token,error_description="…"`
        (
            InvalidToken(),
            401,
            rf'Bearer realm="{REALM}",error=invalid_token,error_description="[^",]+"',
        ),
        (
            InsufficientScope(),
            403,
            rf'Bearer realm="{REALM}",error=insufficient_scope,error_description="[^",]+"',
        ),
        (
            InvalidRequest(),
            400,
            rf'Bearer realm="{REALM}",error=invalid_request,error_description="[^",]+"',
        ),
        # RFC 6750 Section 3.1: no error code "if the request lacks any authentication information"
        (MissingCredentials(), 401, rf'Bearer realm="{REALM}"'),
    ],
)
def test_challenges(error: AuthorizationError, status: int, challenge: str) -> None:
    """What credentials could mend is answered with a challenge, in the one form of the contract."""
    assert answer_to(error, REALM).status == status
    assert re.fullmatch(challenge, field(error, "www-authenticate") or "")


@pytest.mark.parametrize(
    "error", [MalformedTarget(), KeysUnavailable(), UnfitResource(), OwnersUnavailable()]
)
def test_no_challenge_where_credentials_would_not_help(error: AuthorizationError) -> None:
    """RFC 9110 Section 15.5.2 asks for a challenge with 401, and no other credentials help here."""
    assert field(error, "www-authenticate") is None


@pytest.mark.parametrize("kind", KINDS)
def test_challenges_survive_readers_that_split_at_commas(kind: type[AuthorizationError]) -> None:
    """Contract: no space after commas and none elsewhere but in quotes and after the scheme."""
    challenge = field(kind(), "www-authenticate")
    if challenge is None:
        return
    scheme, _, parameters = challenge.partition(" ")
    assert scheme == "Bearer"
    pairs = dict(parameter.split("=") for parameter in parameters.split(","))
    assert pairs["realm"] == f'"{REALM}"'
    assert pairs.get("error") == kind.code
    assert pairs.keys() <= {"realm", "error", "error_description"}


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_are_nmos_errors(kind: type[AuthorizationError]) -> None:
    """IS-04 "APIs": `code` matches the status, `error` is a string, `debug` may be null."""
    answer = answer_to(kind(), REALM)
    body = json.loads(answer.body)
    assert body.keys() == {"code", "error", "debug"}
    assert body["code"] == answer.status == kind.status
    assert isinstance(body["error"], str)
    assert body["error"]
    assert body["debug"] is None or isinstance(body["debug"], str)
    assert field(kind(), "content-type") == "application/json"
    assert field(kind(), "content-length") == str(len(answer.body))


@pytest.mark.parametrize("seconds", [1, 2, 60])
def test_retry_after_is_a_whole_number_of_seconds(seconds: int) -> None:
    """Contract: 503 "with integer `Retry-After`" (RFC 9110 Section 10.2.3)."""
    error = KeysUnavailable(retry_after=seconds)
    assert answer_to(error, REALM).status == 503
    assert field(error, "retry-after") == str(seconds)


def test_owners_that_cannot_be_looked_up_are_worth_waiting_for() -> None:
    """A 503 says when to come back, whatever is the matter."""
    assert field(OwnersUnavailable(), "retry-after") == "1"


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in {KeysUnavailable, OwnersUnavailable}]
)
def test_no_other_answer_asks_to_retry(kind: type[AuthorizationError]) -> None:
    """Only what passes by itself is worth waiting for."""
    assert field(kind(), "retry-after") is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", list(Reason))
def test_answers_tell_nothing_of_the_cause(kind: type[AuthorizationError], reason: Reason) -> None:
    """The same fixed answer whatever the reason and whoever's the token (design, contract)."""
    token = access_token_of(sub="somebody@example.com")
    assert answer_to(kind(reason, token=token), REALM) == answer_to(kind(), REALM)
