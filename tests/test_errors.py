"""One tree of exceptions, as RFC 6750 Section 3.1 and the contract have their answers."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from nmos_auth import errors
from nmos_auth.errors import (
    AuthorizationError,
    ConfigurationError,
    FetchError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeySetError,
    KeysUnavailable,
    MalformedTarget,
    MetadataError,
    MissingCredentials,
    NmosAuthError,
    OwnersUnavailable,
    Reason,
    TrustError,
    UnfitResource,
)
from tests.support.modules import module_name, module_paths
from tests.support.parsed import access_token_of

ANSWERS = [
    # RFC 6750 Section 3.1, one by one, each of which SHOULD be answered with this status
    (InvalidRequest, 400, "invalid_request"),
    (InvalidToken, 401, "invalid_token"),
    (InsufficientScope, 403, "insufficient_scope"),
    # Its last paragraph: without authentication information there SHOULD NOT be an error code
    (MissingCredentials, 401, None),
    # Contract, answers: a target that is not canonicalisable
    (MalformedTarget, 400, None),
    # IS-10 "Behaviour: Resource Servers", Public keys: "MAY temporarily respond with an HTTP 503"
    (KeysUnavailable, 503, None),
    # IS-04 "Behaviour: Registration", Node Encounters HTTP 400, and HTTP 5xx
    (UnfitResource, 400, None),
    (OwnersUnavailable, 503, None),
]
KINDS = [kind for kind, _, _ in ANSWERS]


@pytest.mark.parametrize(("kind", "status", "code"), ANSWERS)
def test_statuses_and_codes(kind: type[AuthorizationError], status: int, code: str | None) -> None:
    """Each refusal knows its HTTP status and its RFC 6750 code."""
    assert (kind.status, kind.code) == (status, code)
    assert kind().status == status


def test_every_refusal_is_in_the_table() -> None:
    """No other kind of refusal can reach a client."""
    kinds = {
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, AuthorizationError) and each is not AuthorizationError
    }
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ConfigurationError, NmosAuthError),
        (ConfigurationError, ValueError),
        (TrustError, NmosAuthError),
        (FetchError, TrustError),
        (MetadataError, TrustError),
        (KeySetError, TrustError),
        (AuthorizationError, NmosAuthError),
        *((kind, AuthorizationError) for kind in KINDS),
    ],
)
def test_the_tree(kind: type[Exception], base: type[Exception]) -> None:
    """Whoever catches a base catches what belongs to it."""
    assert issubclass(kind, base)


def drawn() -> dict[str, str]:
    """Return the base of each exception in the drawing, by name."""
    bases: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ((?:  )*)([A-Z]\w+)  .*", line)
        if match is not None:
            depth = len(match[1]) // 2
            above[depth:] = [match[2]]
            assert match[2] not in bases, "drawn twice"
            bases[match[2]] = above[depth - 1] if depth else "Exception"
    return bases


def test_the_tree_is_drawn_as_it_is() -> None:
    """Every exception of the package is drawn once, below one of its bases, and so has one root."""
    for path in module_paths():
        importlib.import_module(module_name(path))
    kinds, found = [NmosAuthError], {NmosAuthError}
    for kind in kinds:
        found.add(kind)
        kinds += kind.__subclasses__()
    bases = {
        each.__name__: {base.__name__ for base in each.__bases__}
        for each in found
        if not each.__name__.startswith("_")
    }
    tree = drawn()
    assert tree.keys() == bases.keys()
    assert {name: base for name, base in tree.items() if base not in bases[name]} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_descriptions_can_be_put_into_a_header(kind: type[AuthorizationError]) -> None:
    """RFC 6750 Section 3: %x20-21 / %x23-5B / %x5D-7E; contract: fixed texts without commas."""
    assert re.fullmatch(r"[\x20\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+", kind.description)
    assert kind(Reason.HANDLER).description == kind(Reason.SIGNATURE).description
    assert kind().description == kind.description


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_tells_nothing_of_its_token(kind: type[AuthorizationError]) -> None:
    """What logs print of an error holds neither claims nor the reason that only the audit tells."""
    token = access_token_of(sub="somebody@example.com", jti="secret-jti")
    error = kind(Reason.SIGNATURE, token=token)
    assert error.token is token
    for told in (str(error), repr(error)):
        assert "somebody" not in told
        assert "secret" not in told
        assert Reason.SIGNATURE.value not in told


def test_a_handler_may_raise_one_without_arguments() -> None:
    """What a handler refuses is recorded as refused by the handler."""
    assert InsufficientScope().reason is Reason.HANDLER
    assert InsufficientScope().token is None


def test_a_missing_key_says_when_to_come_back() -> None:
    """Contract: "integer `Retry-After`; first retries come within a second or two"."""
    assert KeysUnavailable().retry_after in {1, 2}
    assert KeysUnavailable(retry_after=7).retry_after == 7


def test_a_failed_fetch_knows_the_status_it_got() -> None:
    """A document that is not there can be told from a server that is not there."""
    assert FetchError("not found", status=404).status == 404
    assert FetchError("no connection").status is None


def test_reasons_are_distinct_and_usable_as_keys() -> None:
    """Each reason has a text of its own, and looks up what its text looks up."""
    assert len({reason.value for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert {reason.value: 1}[reason] == 1
