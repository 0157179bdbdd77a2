"""What exactly was wrong with a request, as the audit log says it: every word of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nmos_auth.errors import InsufficientScope, InvalidToken, UnfitResource
from nmos_auth.rules.access_token import check_times
from nmos_auth.rules.authorization import check_handshake, check_request, check_subscription
from nmos_auth.rules.paths import api_path
from nmos_auth.rules.resources import place
from nmos_auth.rules.tokens import parse_token
from tests.support.parsed import GOOD_HEADER, GOOD_PAYLOAD, access_token_of, compact, parsed
from tests.support.tokens import claims_of

NOW = 1_700_000_000
NODE = "/x-nmos/node/v1.3/"
ID = "3b8be755-08ff-452b-b217-c9151eb21193"


def told(refused: Callable[[], object]) -> str:
    """Return the detail of a refusal."""
    with pytest.raises((InvalidToken, InsufficientScope, UnfitResource)) as refusal:
        refused()
    return str(refusal.value.detail)


@pytest.mark.parametrize(
    ("claims", "method", "path", "said"),
    [
        (
            {"scope": "query events", "x_nmos_node": None},
            "GET",
            NODE,
            (
                "read of '', a base path, needs claim 'x-nmos-node' as an object, or scope 'node';"
                " scope is 'events', 'query'"
            ),
        ),
        (
            {"scope": "query", "x_nmos_node": None},
            "POST",
            NODE,
            "write of '' needs claim 'x-nmos-node'; the token has 'x-nmos-connection'",
        ),
        (
            {"x_nmos_query": {}, "x_nmos_node": None},
            "GET",
            NODE + "self/",
            (
                "read of 'self' needs claim 'x-nmos-node'; the token has 'x-nmos-connection',"
                " 'x-nmos-query'"
            ),
        ),
        *(
            (
                {"x_nmos_node": claim},
                "GET",
                NODE + "self",
                f"claim 'x-nmos-node' is {named}, and must be an object",
            )
            for claim, named in [
                ("read", "a string"),
                (1, "a number"),
                (1.5, "a number"),
                (True, "a boolean"),
                (["read"], "an array"),
            ]
        ),
        (
            {"x_nmos_node": {"read": ["*"]}},
            "DELETE",
            NODE + "self",
            "claim 'x-nmos-node' has no write, which 'self' needs",
        ),
        *(
            (
                {"x_nmos_node": {"read": wrong}},
                "GET",
                NODE + "self",
                "read of claim 'x-nmos-node' is not an array of strings",
            )
            for wrong in ["self", {"self": 1}, ["self", 1], None]
        ),
        (
            {"x_nmos_node": {"read": []}},
            "GET",
            NODE + "self",
            "read of claim 'x-nmos-node' is nothing, and nothing there matches 'self'",
        ),
        (
            {"x_nmos_node": {"write": ["devices", "senders/*"]}},
            "PUT",
            NODE + "self",
            (
                "write of claim 'x-nmos-node' is 'devices', 'senders/*', and nothing there matches"
                " 'self'"
            ),
        ),
        ({}, "GET", "/x-nmos/node/latest", "no version such as v1.3 follows 'node' in the path"),
        ({}, "TRACE", NODE, "'TRACE' is neither a method that reads nor one that writes"),
    ],
)
def test_what_a_token_lacks(claims: dict[str, object], method: str, path: str, said: str) -> None:
    """The claim, what it would have to be, and what the token has instead."""
    target = api_path(path, "")
    assert target is not None
    assert told(lambda: check_request(method, target, access_token_of(**claims))) == said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("query/v1.3/nodes", "claim 'x-nmos-query' has no write, which 'subscriptions' needs"),
        ("query/nodes", "no version such as v1.3 follows 'query' in the path"),
        (
            "system/v1.0/ws",
            "read of 'ws' needs claim 'x-nmos-system'; the token has 'x-nmos-query'",
        ),
    ],
)
def test_what_a_websocket_lacks(path: str, said: str) -> None:
    """A handshake reads, and makes a subscription by writing."""
    target = api_path(f"/x-nmos/{path}", "")
    assert target is not None
    query = {"read": ["nodes/*"]}
    token = access_token_of(x_nmos_query=query, x_nmos_node=None, x_nmos_connection=None)
    assert told(lambda: check_handshake(target, token)) == said


@pytest.mark.parametrize(
    ("resource_path", "said"),
    [
        (
            "/senders",
            "read of claim 'x-nmos-query' is 'nodes/*', and nothing there matches 'senders/*'",
        ),
        ("/Nodes", "the subscription's resource_path is not one that the Query API has"),
    ],
)
def test_what_a_subscription_lacks(resource_path: str, said: str) -> None:
    """Connecting to one reads what it may return."""
    token = access_token_of(x_nmos_query={"read": ["nodes/*"]})
    assert told(lambda: check_subscription(token, resource_path)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a" * 16385, "it has 16385 bytes, and at most 16384 are accepted"),
        (b"opaque", "it has 1 segments, and a signed JWT has three"),
        (b"a.b.c.d", "it has 4 segments, and a signed JWT has three"),
        (b"a.b.c", "a segment is not strict base64url"),
        (compact(b"[]", GOOD_PAYLOAD), "the header is not a JSON object with distinct names"),
        (compact(GOOD_HEADER, b"{"), "the claims are not a JSON object with distinct names"),
    ],
)
def test_what_is_wrong_with_the_form_of_a_token(text: bytes, said: str) -> None:
    """Never its text."""
    assert told(lambda: parse_token(text)) == said


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({}, "alg is absent, and must be 'RS512'"),
        ({"alg": "none"}, "alg is 'none', and must be 'RS512'"),
        ({"alg": ["RS512"]}, "alg is 'an array', and must be 'RS512'"),
        ({"alg": "RS512", "crit": []}, "the header has 'crit', which is not understood"),
        ({"alg": "RS512", "b64": True}, "the header has 'b64', which is not understood"),
        ({"alg": "RS512", "typ": "logout+jwt"}, "typ is 'logout+jwt', and must be JWT or at+jwt"),
        ({"alg": "RS512", "typ": None}, "typ is absent, and must be JWT or at+jwt"),
        ({"alg": "RS512", "typ": 1}, "typ is 'a number', and must be JWT or at+jwt"),
        ({"alg": "RS512", "kid": {}}, "kid is 'an object', and must be a string"),
    ],
)
def test_what_is_wrong_with_a_header(header: dict[str, object], said: str) -> None:
    """The parameter and what it would have to be."""
    assert told(lambda: parsed(claims_of("https://auth.example.com"), header)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iss": None}, "claim 'iss' is absent, and must be a string"),
        ({"iss": ""}, "claim 'iss' is empty"),
        ({"sub": 7}, "claim 'sub' is a number, and must be a string"),
        ({"client_id": None}, "claim 'client_id' is absent, and must be a string"),
        ({"client_id": None, "azp": ""}, "claim 'azp' is empty"),
        ({"client_id": None, "azp": []}, "claim 'azp' is an array, and must be a string"),
        ({"client_id": [], "azp": "a"}, "claim 'client_id' is an array, and must be a string"),
        ({"aud": {}}, "claim 'aud' is an object, and must be a string or an array of strings"),
        ({"aud": ["a", 1]}, "claim 'aud' is an array, and must be a string or an array of strings"),
        ({"exp": "soon"}, "claim 'exp' is a string, and must be a number"),
        ({"exp": ""}, "claim 'exp' is a string, and must be a number"),
        ({"exp": True}, "claim 'exp' is a boolean, and must be a number"),
        ({"exp": 2**53 + 2}, "claim 'exp' is beyond any date"),
        ({"iat": -(10**400)}, "claim 'iat' is beyond any date"),
        ({"iat": [1]}, "claim 'iat' is an array, and must be a number"),
        ({"nbf": {}}, "claim 'nbf' is an object, and must be a number"),
        ({"scope": ["node"]}, "claim 'scope' is an array, and must be a string"),
        ({"jti": 1}, "claim 'jti' is a number, and must be a string"),
    ],
)
def test_what_is_wrong_with_a_claim(changes: dict[str, object], said: str) -> None:
    """The claim, its type and what it would have to be."""
    assert told(lambda: access_token_of(**changes)) == said


def test_a_claim_may_be_null() -> None:
    """Which is not the same as absent."""
    claims = claims_of("https://auth.example.com") | {"exp": None}
    assert told(lambda: parsed(claims)) == "claim 'exp' is null, and must be a number"


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"exp": NOW - 12.34}, "exp was 12.3 s ago"),
        ({"exp": NOW}, "exp was 0 s ago"),
        (
            {"iat": NOW + 60.04},
            "'iat' is 60 s ahead of this server's clock, and NMOS_AUTH_LEEWAY allows 1.5 s",
        ),
        (
            {"iat": NOW + 1, "nbf": NOW + 2.26},
            "'nbf' is 2.3 s ahead of this server's clock, and NMOS_AUTH_LEEWAY allows 1.5 s",
        ),
    ],
)
def test_by_how_much_a_token_is_out_of_its_time(times: dict[str, object], said: str) -> None:
    """In tenths of a second."""
    token = access_token_of(**({"exp": NOW + 1000, "iat": None} | times))
    assert told(lambda: check_times(token, NOW, 1.5)) == said


@pytest.mark.parametrize(
    ("resource_type", "data", "said"),
    [
        (
            "nodes",
            {},
            "type is not one of 'node', 'device', 'source', 'flow', 'sender', 'receiver'",
        ),
        ("node", [], "data is not an object"),
        ("node", {"id": 7}, "'id' of the 'node' is not a UUID in lower case"),
        ("device", {"id": ID}, "the 'device' has no 'node_id'"),
        ("flow", {"id": ID}, "the 'flow' has no 'device_id'"),
        (
            "sender",
            {"id": ID, "device_id": ID.upper()},
            "'device_id' of the 'sender' is not a UUID in lower case",
        ),
    ],
)
def test_why_a_resource_has_no_place(resource_type: str, data: object, said: str) -> None:
    """The type, or the id that decides."""
    assert told(lambda: place(resource_type, data)) == said
