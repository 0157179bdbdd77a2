"""What a request needs and whether a token gives it: IS-10 "Behaviour: Resource Servers"."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth import AccessToken, InsufficientScope
from nmos_auth.rules.authorization import (
    allowed_sources,
    check_handshake,
    check_request,
    check_subscription,
    is_public,
)
from nmos_auth.rules.paths import api_path
from nmos_auth.rules.resources import COLLECTIONS
from tests.support.parsed import access_token_of

Outcome = Literal["public", "app's own", "permitted", "refused"]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", ""]


def outcome(method: str, path: str, token: AccessToken) -> Outcome:
    """Decide a request as the edges do, one decision after the other."""
    target = api_path(path, "")
    if is_public(method, path, target):
        return "public"
    if target is None:
        return "app's own"
    try:
        check_request(method, target, token)
    except InsufficientScope:
        return "refused"
    return "permitted"


def handshake(path: str, token: AccessToken) -> bool:
    """Tell whether a WebSocket handshake is permitted."""
    target = api_path(path, "")
    assert target is not None
    try:
        check_handshake(target, token)
    except InsufficientScope:
        return False
    return True


def follower(*read: str) -> AccessToken:
    """Return a token for making subscriptions of a Query API, and for reading so much."""
    return access_token_of(x_nmos_query={"read": list(read), "write": ["subscriptions"]})


NOBODY = access_token_of(scope=None, x_nmos_node=None, x_nmos_connection=None)
SCOPE_ONLY = access_token_of(scope="connection", x_nmos_node=None, x_nmos_connection=None)
CLAIM_ONLY = access_token_of(
    scope=None,
    x_nmos_node=None,
    x_nmos_connection={"read": ["single/*"], "write": ["single/senders/*"]},
)
EMPTY_CLAIM = access_token_of(scope=None, x_nmos_connection={})
WRONG_CLAIM = access_token_of(scope=None, x_nmos_connection=["read", "write"])
EVERYTHING = access_token_of(x_nmos_connection={"read": ["*"], "write": ["*"]})
OTHER_API = access_token_of(
    scope="node", x_nmos_node={"read": ["*"], "write": ["*"]}, x_nmos_connection=None
)

CONNECTION = "/x-nmos/connection"
V1_1 = "/x-nmos/connection/v1.1"


@pytest.mark.parametrize(
    ("method", "path", "token", "expected"),
    [
        # "`/` | Always allow 'read' permission with no authorization checks"
        ("GET", "/", NOBODY, "public"),
        ("HEAD", "/", NOBODY, "public"),
        ("POST", "/", NOBODY, "app's own"),
        # "`/x-nmos` | Always allow 'read' permission with no authorization checks … with or without
        # a trailing slash"
        ("GET", "/x-nmos", NOBODY, "public"),
        ("GET", "/x-nmos/", NOBODY, "public"),
        ("HEAD", "/x-nmos/", NOBODY, "public"),
        ("POST", "/x-nmos", EVERYTHING, "refused"),
        ("DELETE", "/x-nmos/", EVERYTHING, "refused"),
        # Design, decisions: "`/X-NMOS` is no way round"
        ("GET", "/X-NMOS", EVERYTHING, "refused"),
        ("GET", "/X-NMOS/connection/v1.1/bulk", NOBODY, "refused"),
        # "`/x-nmos/<api name>` | … either an `x-nmos-*` claim matching the API name, a `scope`
        # matching the API name or both … with or without a trailing slash"
        ("GET", CONNECTION, SCOPE_ONLY, "permitted"),
        ("GET", CONNECTION + "/", SCOPE_ONLY, "permitted"),
        ("GET", CONNECTION, CLAIM_ONLY, "permitted"),
        ("HEAD", CONNECTION + "/", CLAIM_ONLY, "permitted"),
        ("GET", CONNECTION, EMPTY_CLAIM, "permitted"),
        ("GET", CONNECTION, NOBODY, "refused"),
        ("GET", CONNECTION, OTHER_API, "refused"),
        ("GET", CONNECTION, WRONG_CLAIM, "refused"),
        # "`/x-nmos/<api name>/<api version>`", likewise
        ("GET", V1_1, SCOPE_ONLY, "permitted"),
        ("GET", V1_1 + "/", SCOPE_ONLY, "permitted"),
        ("HEAD", V1_1, CLAIM_ONLY, "permitted"),
        ("GET", V1_1 + "/", CLAIM_ONLY, "permitted"),
        ("GET", V1_1, EMPTY_CLAIM, "permitted"),
        ("GET", V1_1, NOBODY, "refused"),
        ("GET", V1_1, OTHER_API, "refused"),
        ("GET", V1_1, WRONG_CLAIM, "refused"),
        # Design, decisions: "write needs the claim, with a specifier that matches the empty path"
        ("POST", CONNECTION, SCOPE_ONLY, "refused"),
        ("POST", V1_1, CLAIM_ONLY, "refused"),
        ("POST", V1_1, EVERYTHING, "permitted"),
        ("DELETE", CONNECTION + "/", EVERYTHING, "permitted"),
        # "`/x-nmos/<api name>/<api version>/<path>` | The token MUST include an `x-nmos-*` claim
        # matching the API name and the path"
        ("GET", V1_1 + "/single/senders", CLAIM_ONLY, "permitted"),
        ("GET", V1_1 + "/single/senders/", CLAIM_ONLY, "permitted"),
        ("GET", V1_1 + "/bulk", CLAIM_ONLY, "refused"),
        ("GET", V1_1 + "/single/senders", SCOPE_ONLY, "refused"),
        ("GET", V1_1 + "/single/senders", EMPTY_CLAIM, "refused"),
        ("GET", V1_1 + "/single/senders", WRONG_CLAIM, "refused"),
        ("GET", V1_1 + "/single/senders", OTHER_API, "refused"),
        # "write … POST, PUT, PATCH and DELETE HTTP request verbs", and write is not read
        ("PATCH", V1_1 + "/single/senders/1/staged", CLAIM_ONLY, "permitted"),
        ("PUT", V1_1 + "/single/senders/1/staged/", CLAIM_ONLY, "permitted"),
        ("POST", V1_1 + "/single/senders/1", CLAIM_ONLY, "permitted"),
        ("DELETE", V1_1 + "/single/senders/1", CLAIM_ONLY, "permitted"),
        ("PATCH", V1_1 + "/single/receivers/1/staged", CLAIM_ONLY, "refused"),
        # Any version of the API: claims name none
        ("GET", CONNECTION + "/v1.0/single/senders", CLAIM_ONLY, "permitted"),
        ("GET", CONNECTION + "/v99.99/single/senders", CLAIM_ONLY, "permitted"),
        # A path without a version has nothing that a specifier could start after
        ("GET", CONNECTION + "/single/senders", EVERYTHING, "refused"),
        ("GET", CONNECTION + "/v1/single/senders", EVERYTHING, "refused"),
        # Design, decisions: other methods, "any token 403"
        ("TRACE", V1_1 + "/single/senders", EVERYTHING, "refused"),
        ("PROPFIND", V1_1, EVERYTHING, "refused"),
        ("get", V1_1 + "/single/senders", EVERYTHING, "refused"),
        ("TRACE", "/x-nmos", EVERYTHING, "refused"),
        # Design, decisions: "Paths outside `/x-nmos`: the app's own"
        ("GET", "/docs", NOBODY, "app's own"),
        ("DELETE", "/ui/x-nmos/connection", NOBODY, "app's own"),
        ("GET", "/x-nmos-connection/v1.1", NOBODY, "app's own"),
    ],
)
def test_path_validation(method: str, path: str, token: AccessToken, expected: Outcome) -> None:
    """The table of IS-10 holds, row by row."""
    assert outcome(method, path, token) == expected


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        # BCP-003-02 "WebSocket Authorization": "provided the token covers the 'events' scope"
        ("/x-nmos/events/v1.0/ws", access_token_of(scope="events"), True),
        ("/x-nmos/events/v1.0/ws", access_token_of(scope=None, x_nmos_events={}), True),
        ("/x-nmos/events/v1.0/ws/1", access_token_of(x_nmos_events={"read": ["sources/1"]}), True),
        ("/x-nmos/events/v1.0", access_token_of(scope="events"), True),
        ("/x-nmos/events/v1.0/ws", access_token_of(scope="node"), False),
        ("/x-nmos/events/v1.0/ws", access_token_of(x_nmos_events="*"), False),
        # IS-10 "Operation with WebSocket": elsewhere "in the same manner as … normal protected
        # HTTP resources"
        ("/x-nmos/system/v1.0/ws", access_token_of(x_nmos_system={"read": ["ws"]}), True),
        ("/x-nmos/system/v1.0/ws", access_token_of(x_nmos_system={"read": ["*"]}), True),
        ("/x-nmos/system/v1.0/ws", access_token_of(x_nmos_system={"write": ["*"]}), False),
        ("/x-nmos/node/v1.3/nodes", access_token_of(x_nmos_node={"read": ["nodes"]}), True),
        ("/x-nmos/events/v1.0/sources", access_token_of(x_nmos_events={}), True),
        ("/x-nmos/system/v1.0/ws", access_token_of(scope="system"), False),
        ("/x-nmos/system/v1.0", access_token_of(scope="system"), True),
        # BCP-003-02 "Registry WebSocket Authorization": "The `ws_href` path MUST NOT be validated
        # against the token claims"
        ("/x-nmos/query/v1.3/ws", access_token_of(x_nmos_query={"read": ["receivers/*"]}), True),
        ("/x-nmos/query/v1.3/ws/1", access_token_of(x_nmos_query={"write": ["*"]}), True),
        ("/x-nmos/query/v1.3/subscriptions/1", access_token_of(scope="query"), True),
        ("/x-nmos/query/v1.3", access_token_of(scope="query"), True),
        ("/x-nmos/query/v1.3/ws", access_token_of(x_nmos_registration={"read": ["*"]}), False),
        ("/x-nmos/query/v1.3/receivers/1", access_token_of(x_nmos_query={"read": ["*"]}), False),
        ("/x-nmos/query/v1.3/receivers/1", follower("*"), False),
        # BCP-003-02 "Registry WebSocket Authorization": a subscription made by an Upgrade, which
        # needs write on `subscriptions` and read of all that it may return
        ("/x-nmos/query/v1.3/receivers", follower("receivers/*"), True),
        ("/x-nmos/query/v1.3/receivers/", follower("receivers/*"), True),
        ("/x-nmos/query/v1.2/nodes", follower("*"), True),
        ("/x-nmos/query/v1.3/receivers", follower("receivers"), False),
        ("/x-nmos/query/v1.3/receivers", follower("senders/*"), False),
        ("/x-nmos/query/v1.3/receivers", access_token_of(x_nmos_query={"read": ["*"]}), False),
        (
            "/x-nmos/query/v1.3/receivers",
            access_token_of(x_nmos_query={"read": ["*"], "write": ["receivers"]}),
            False,
        ),
        # Nothing under /x-nmos is public to a handshake, nor permitted without a version.
        ("/x-nmos/events/ws", access_token_of(scope="events"), False),
        ("/x-nmos/query/ws", access_token_of(x_nmos_query={"read": ["*"]}), False),
        ("/x-nmos", EVERYTHING, False),
    ],
)
def test_handshakes(path: str, token: AccessToken, *, expected: bool) -> None:
    """A WebSocket handshake needs what BCP-003-02 and IS-10 say."""
    assert handshake(path, token) is expected


@given(
    st.sampled_from(METHODS),
    st.lists(st.sampled_from(["x-nmos", "X-NMOS", "connection", "v1.1", "a"]), max_size=5),
    st.sampled_from(["", "/"]),
)
def test_nobody_is_permitted_nothing(method: str, segments: list[str], ending: str) -> None:
    """A token without claims or scopes gets no further than no token at all."""
    path = "/" + "/".join(segments) + (ending if segments else "")
    decided = outcome(method, path, NOBODY)
    assert decided != "permitted"
    if decided == "public":
        assert path in {"/", "/x-nmos", "/x-nmos/"}
        assert method in {"GET", "HEAD"}


@given(
    st.sampled_from(METHODS),
    st.lists(st.sampled_from(["single", "bulk", "senders", "1", "é"]), max_size=4),
)
def test_a_handler_gets_the_answer_that_the_middleware_gave(
    method: str, segments: list[str]
) -> None:
    """Contract: `allows(api, "read" | "write", path)` agrees with what lets requests through."""
    rest = "/".join(segments)
    permitted = outcome(method, f"{V1_1}/{rest}", CLAIM_ONLY) == "permitted"
    verb: Literal["read", "write"] = "read" if method in {"GET", "HEAD"} else "write"
    expected = CLAIM_ONLY.allows("connection", verb, rest)
    assert permitted == (expected and method in METHODS[:6])


def test_a_refusal_knows_its_token() -> None:
    """The audit log has to tell whose request it was: the token is authentic by then."""
    target = api_path(V1_1 + "/bulk", "")
    assert target is not None
    with pytest.raises(InsufficientScope) as caught:
        check_request("GET", target, CLAIM_ONLY)
    assert caught.value.token is CLAIM_ONLY


SOURCE = "9f463872-9621-4939-aa3a-dc3c82d8578b"
OTHER = "7f87027c-ebb4-4640-b878-14952915249a"


@pytest.mark.parametrize(
    ("specifiers", "sources", "expected"),
    [
        # BCP-003-02, IS-07 WebSocket Authorization: the two examples of claims
        ([f"sources/{SOURCE}", f"sources/{OTHER}"], [OTHER, SOURCE], (OTHER, SOURCE)),
        (["*"], [SOURCE, OTHER], (SOURCE, OTHER)),
        ([f"sources/{SOURCE}"], [SOURCE, OTHER], (SOURCE,)),
        (["sources/9f*"], [SOURCE, OTHER], (SOURCE,)),
        (["sources/*"], [SOURCE], (SOURCE,)),
        # What else can be read of a source is not its data on the WebSocket.
        ([f"sources/{SOURCE}/*"], [SOURCE], (SOURCE,)),
        ([f"sources/{SOURCE}/state"], [SOURCE], ()),
        (["sources/*/state"], [SOURCE], ()),
        (["sources"], [SOURCE], ()),
        (["*/type"], [SOURCE], ()),
        ([], [SOURCE], ()),
        # What is the id of no source is not subscribed to, whatever the claims.
        (["*"], ["", ".", "..", "a/b", "../..", "a//b", "\\", "a\n"], ()),
        (["*"], [None, 1, True, [SOURCE], {SOURCE: SOURCE}, SOURCE.encode()], ()),
    ],
)
def test_sources_of_a_subscription(
    specifiers: list[str], sources: list[object], expected: tuple[str, ...]
) -> None:
    """Each source needs read on `sources/{id}` of its own."""
    token = access_token_of(x_nmos_events={"read": specifiers})
    assert allowed_sources(token, sources) == expected


@given(st.text(alphabet="a./\\\x00\x7f\x85é*%\n", max_size=6))
@example(".")
@example("..")
@example("a" * 2048)
def test_a_source_is_one_segment_of_a_path_that_the_token_allows(source: str) -> None:
    """Nothing is subscribed to that the Events API would not serve under `sources`."""
    for specifiers in (["sources/*"], ["sources/a*"], ["*"]):
        token = access_token_of(x_nmos_events={"read": specifiers})
        expected = (
            "/" not in source and source and token.allows("events", "read", f"sources/{source}")
        )
        assert allowed_sources(token, [source]) == ((source,) if expected else ())


def test_a_source_of_any_length_is_not_looked_at() -> None:
    """A message may have megabytes in one string."""
    token = access_token_of(x_nmos_events={"read": ["sources/*"]})
    assert allowed_sources(token, ["a" * 2049, SOURCE]) == (SOURCE,)


def test_the_scope_alone_gives_no_source() -> None:
    """The scope `events` opens the WebSocket, and "claims for any Sources" give their data."""
    assert allowed_sources(access_token_of(scope="events"), [SOURCE]) == ()
    written = access_token_of(scope="events", x_nmos_events={"write": ["*"]})
    assert allowed_sources(written, [SOURCE]) == ()


ID = "3b8be755-08ff-452b-b217-c9151eb21193"


@pytest.mark.parametrize(
    ("resource_path", "read", "expected"),
    [
        # BCP-003-02 "Registry WebSocket Authorization", its example
        ("/receivers", ["receivers/*"], True),
        # Issue of this rule: a specifier covers "any id" only where its `*` does
        ("/receivers", ["*"], True),
        ("/receivers", ["receivers*"], True),
        ("/receivers", ["re*"], True),
        ("/receivers", ["receivers"], False),
        ("/receivers", ["receivers/"], False),
        ("/receivers", [f"receivers/{ID}"], False),
        ("/receivers", ["receivers/3b*"], False),
        ("/receivers", ["receivers/*1", "receivers/*2"], False),
        ("/receivers", ["senders/*", "nodes/*"], False),
        ("/receivers", [], False),
        # A trailing slash means nothing
        ("/receivers/", ["receivers/*"], True),
        ("receivers", ["receivers/*"], True),
        # One resource, where a Registry takes that
        (f"/receivers/{ID}", [f"receivers/{ID}"], True),
        (f"/receivers/{ID}", ["receivers/*"], True),
        (f"/receivers/{ID}", [f"senders/{ID}"], False),
        # All there is
        ("/", ["*"], True),
        ("", ["*"], True),
        ("/", [f"{each}/*" for each in COLLECTIONS], True),
        ("/", [f"{each}/*" for each in COLLECTIONS if each != "flows"], False),
        # What no Query API has, and what is none
        ("/subscriptions", ["*"], False),
        ("/receivers/*", ["*"], False),
        ("/receivers/..", ["*"], False),
        ("//receivers", ["*"], False),
        ("/receivers?a=1", ["*"], False),
        ("/Receivers", ["*"], False),
        (f"/receivers/{ID}/x", ["*"], False),
        (None, ["*"], False),
        (["/receivers"], ["*"], False),
    ],
)
def test_subscriptions(resource_path: object, read: list[str], *, expected: bool) -> None:
    """Connecting to a subscription needs read of everything that it may return."""
    token = access_token_of(x_nmos_query={"read": read})
    if expected:
        check_subscription(token, resource_path)
        return
    with pytest.raises(InsufficientScope) as refusal:
        check_subscription(token, resource_path)
    assert refusal.value.token is token


def test_a_subscription_needs_read_and_nothing_else() -> None:
    """Neither the scope alone nor write nor another API's claim lets a client connect."""
    for token in (
        access_token_of(scope="query"),
        access_token_of(x_nmos_query={"write": ["*"]}),
        access_token_of(x_nmos_registration={"read": ["*"]}),
    ):
        with pytest.raises(InsufficientScope):
            check_subscription(token, "/receivers")
