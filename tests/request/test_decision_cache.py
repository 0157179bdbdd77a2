"""Requests that come again: let through from memory as they were before, while the token counts."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmos_auth import AccessToken, InsufficientScope, NmosAuthMiddleware
from nmos_auth.request.decision import Ruling
from nmos_auth.testing import StandInAuthorizationServer
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile
from nmos_auth.trust.published import Published
from tests.support.asking import ask, http_scope
from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import MakeSettings
from tests.support.tokens import signing_key

# Nothing answers there: the keys come from the keys file.
SERVER = FakeAuthorizationServer([signing_key(0)], host="127.0.0.1", port=1)
SELF = "/x-nmos/node/v1.3/self"

SPELLINGS = ["bearer  {}", "Bearer {} ", "{}", "Bearer{}", "x {}", "Bearer {},"]

START: Message = {"type": "http.response.start", "status": 404, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b""}


class Node:
    """A protected app that is asked without a server between.

    Attributes:
        now: what its clock shows.
        seen: the paths that reached the app.
    """

    def __init__(
        self, make_settings: MakeSettings, directory: Path, app: ASGIApp, **changes: object
    ) -> None:
        kept = KeysFile(directory / "keys")
        held = parse_jwks({"keys": [signing_key(0).jwk()]}).keys
        kept.save({SERVER.issuer: KeptIssuer(held)})
        self._log = directory / "audit.log"
        settings = make_settings(
            SERVER,
            keys_file=directory / "keys",
            audit_log=str(directory / "audit.log"),
            **changes,
        )
        self.now = float(int(asyncio.get_running_loop().time()))
        self.middleware = NmosAuthMiddleware(app, settings, clock=lambda: self.now)

    async def ask(
        self,
        token: str,
        path: str = SELF,
        *more: tuple[bytes, bytes],
        **changes: object,
    ) -> list[Message]:
        """Make a request and give what was sent, or what was raised."""
        asked = await ask(
            self.middleware, http_scope(path, token, *more, **{"extensions": {}, **changes})
        )
        raised = [] if asked.raised is None else [{"type": type(asked.raised).__name__}]
        return [*asked.sent, *raised]

    async def status(
        self, token: str, path: str = SELF, *more: tuple[bytes, bytes], **changes: object
    ) -> int:
        """Make a request and give its status."""
        start, *_ = await self.ask(token, path, *more, **changes)
        status: int = start["status"]
        return status

    async def lines(self) -> list[dict[str, object]]:
        """Stop, and give what the audit log says."""
        assert self.middleware._server is not None
        await self.middleware._server.stop()
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def held() -> list[Ruling]:
    """Return the permits that are remembered."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Ruling)]


MakeNode = Callable[[ASGIApp], Node]


@pytest.fixture
def make_node(make_settings: MakeSettings, tmp_path: Path) -> MakeNode:
    """Return what makes a Node of an app."""
    return lambda app: Node(make_settings, tmp_path, app)


async def answering(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer that there is nothing."""
    await send(START)
    await send(BODY)


async def early(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Send something before the answer."""
    await send({"type": "http.response.debug", "info": {}})
    await send(START)
    await send(BODY)


async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nothing."""


async def crashing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Raise."""
    raise RuntimeError


async def crashing_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Raise when the answer has begun."""
    await send(START)
    raise RuntimeError


async def cancelled(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """End as when the client has gone."""
    raise asyncio.CancelledError


async def refusing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Refuse."""
    raise InsufficientScope


async def refusing_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Refuse when the answer has begun."""
    await send(START)
    raise InsufficientScope


@pytest.mark.parametrize(
    ("app", "outcome", "status", "last"),
    [
        (answering, "authorized", 404, "http.response.body"),
        (early, "authorized", 404, "http.response.body"),
        (silent, "authorized", None, None),
        (crashing, "authorized", 500, "RuntimeError"),
        (crashing_late, "authorized", 404, "RuntimeError"),
        (cancelled, "authorized", None, "CancelledError"),
        (refusing, "rejected", 403, "http.response.body"),
    ],
)
async def test_what_comes_again_ends_and_is_logged_as_before(
    make_node: MakeNode, app: ASGIApp, outcome: str, status: int | None, last: str | None
) -> None:
    """However the app ends, the second request of a kind is treated as the first was."""
    node = make_node(app)
    token = SERVER.token(exp=node.now + 100, iat=None)
    answers = [await node.ask(token) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert [each["type"] for each in answers[0]][-1:] == ([last] if last else [])
    lines = await node.lines()
    assert [(line["outcome"], line["status"]) for line in lines] == [(outcome, status)] * 3
    assert lines[0] == lines[1] == lines[2]


async def test_a_late_refusal_is_recorded_each_time(make_node: MakeNode) -> None:
    """An answer that has begun is left to the server to cut off, and has a line of its own."""
    node = make_node(refusing_late)
    token = SERVER.token(exp=node.now + 100, iat=None)
    for _ in range(3):
        assert await node.ask(token) == [START, {"type": "InsufficientScope"}]
    lines = await node.lines()
    said = [(line["outcome"], line["status"], line["reason"]) for line in lines]
    assert (
        said
        == [
            ("authorized", 404, "permitted"),
            ("rejected", None, "refused by the handler"),
        ]
        * 3
    )


async def test_refusals_are_remembered(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an authentic token does not permit is not decided again, and answered as before."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None, **{"x-nmos-node": {"read": ["a", "*b*"]}})
    first = await node.ask(token)
    assert first[0]["status"] == 403
    monkeypatch.setattr(AccessToken, "permits", None)
    assert [await node.ask(token) for _ in range(2)] == [first, first]


async def test_a_permit_ends_with_its_token(make_node: MakeNode) -> None:
    """To the tick of `exp`, however often the request was permitted."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None)
    statuses = []
    for now in (0, 99.9, 100, 99.9, 100.1):
        begun, node.now = node.now, node.now + now
        statuses.append(await node.status(token))
        node.now = begun
    assert statuses == [404, 404, 401, 404, 401]


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_a_permit_ends_when_the_clock_is_set_back(make_node: MakeNode, claim: str) -> None:
    """A token whose time has not come any more is refused as at first sight, and then not."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, **{"iat": None, claim: node.now})
    statuses = []
    for now in (0, -0.9, -1.1, -500, 0, 1):
        begun, node.now = node.now, node.now + now
        statuses.append(await node.status(token))
        node.now = begun
    assert statuses == [404, 404, 401, 401, 404, 404]


async def test_a_permit_ends_when_a_key_is_withdrawn(make_node: MakeNode) -> None:
    """Withdrawal reaches what is remembered, whichever key it is."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None)
    assert [await node.status(token) for _ in range(2)] == [404, 404]
    assert node.middleware._server is not None
    keys = node.middleware._server._keys
    issuer = keys._members.get(SERVER.issuer)
    assert issuer is not None
    published = Published(parse_jwks({"keys": [signing_key(1).jwk()]}), None, is_fresh=True)
    keys._holdings.take(issuer, published, number=1, began=0)
    assert await node.status(token) in {401, 503}


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        (SELF, {}, 404),
        (SELF, {"method": "PUT"}, 403),
        (SELF, {"method": "TRACE"}, 403),
        (SELF, {"raw_path": b"/x-nmos/node/v1.3/%2Fself"}, 400),
        (SELF, {"root_path": "/x-nmos/query/v1.0"}, 403),
        ("/x-nmos/query/v1.3/self", {}, 403),
        ("/x-nmos/node/self", {}, 403),
    ],
)
async def test_a_permit_is_for_one_question(
    make_node: MakeNode, path: str, changes: dict[str, object], status: int
) -> None:
    """A request that differs in anything that counts is decided by itself."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None, **{"x-nmos-node": {"read": ["self"]}})
    assert await node.status(token) == 404
    assert await node.status(token, path, **changes) == status
    assert await node.status(token) == 404


@pytest.mark.parametrize("value", [b"", b"Basic eDp5", b"Bearer other"])
async def test_a_permit_is_for_one_header(make_node: MakeNode, value: bytes) -> None:
    """A second `Authorization` field is refused, though one of the two is known to be good."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None)
    assert await node.status(token) == 404
    assert await node.status(token, SELF, (b"authorization", value)) == 400


async def test_the_app_gets_the_canonical_path_and_the_token_each_time(make_node: MakeNode) -> None:
    """What was decided is what the app sees, and it has the token of the request."""
    seen = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["state"]["access_token"].sub))
        await send(START)

    node = make_node(app)
    token = SERVER.token(exp=node.now + 100, iat=None, sub="someone")
    for _ in range(2):
        assert await node.status(token, "/x-nmos/node/v1.3/a/../self") == 404
    assert seen == [(SELF, SELF.encode(), "someone")] * 2


@pytest.mark.parametrize(
    "header",
    ["Bearer rubbish.1.x", "Bearer a b", "Basic abc", "Bearer {expired}", "Bearer {other}"],
    ids=["rubbish", "malformed", "scheme", "expired", "forbidden"],
)
async def test_refusals_leave_nothing_for_the_garbage_collector(
    make_node: MakeNode, header: str
) -> None:
    """Whoever floods a Node with refused requests does not have it look for circles of objects."""
    node = make_node(answering)
    good = SERVER.token(exp=node.now + 100, iat=None)
    other = SERVER.token(exp=node.now + 100, iat=None, x_nmos_node={"read": ["other"]})
    tokens = {"expired": SERVER.token(exp=node.now - 1, iat=None), "other": other}
    field = (b"authorization", header.format(**tokens).encode())
    assert await node.status(good, headers=[field]) in {400, 401, 403}
    left = []
    gc.disable()
    try:
        # Servers of other tests may leave something behind as well, but not each time.
        for turn in range(5):
            gc.collect()
            for number in range(20):
                await node.ask(good, f"/x-nmos/node/v1.3/{turn}/{number}", headers=[field])
            left.append(gc.collect())
    finally:
        gc.enable()
    assert min(left) < 20


async def accepting(scope: Scope, _receive: Receive, send: Send) -> None:
    """Accept a handshake, and answer a request."""
    await send({"type": "websocket.accept"} if scope["type"] == "websocket" else START)


async def test_a_handshake_and_a_request_are_remembered_apart(make_node: MakeNode) -> None:
    """A `ws_href` needs no more than the API's claim, and a GET of the same path needs its path."""
    node = make_node(accepting)
    claims = {"x_nmos_query": {"read": ["nodes"]}}
    token = SERVER.token(exp=node.now + 100, iat=None, **claims)
    path = "/x-nmos/query/v1.3/ws/1"
    for method in ({}, {"method": "GET"}):
        for _ in range(3):
            assert await node.status(token, path) == 403
            sent = await node.ask(token, path, type="websocket", **method)
            assert sent == [{"type": "websocket.accept"}]
    lines = await node.lines()
    assert [line["status"] for line in lines] == [403, 101] * 6


async def test_a_handshake_is_remembered_while_its_token_is_valid(make_node: MakeNode) -> None:
    """Each handshake is recorded, and the first one that is too late is refused."""
    node = make_node(accepting)
    token = SERVER.token(exp=node.now + 100, iat=None)
    for _ in range(3):
        assert await node.ask(token, type="websocket") == [{"type": "websocket.accept"}]
    node.now += 100
    (closed,) = await node.ask(token, type="websocket")
    assert closed["type"] == "websocket.close"
    reasons = [line["reason"] for line in await node.lines()]
    assert reasons == ["permitted"] * 3 + ["expired"]


async def test_memory_is_flat_over_any_number_of_requests(make_node: MakeNode) -> None:
    """What comes once displaces nothing; what comes again takes room, refusals too."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None)
    many = "/x-nmos/node/v1.3/many/"
    known = [SELF + "/x" * 5000, "/x-nmos/query/v1.3/nodes", SELF]
    for path in known * 2:
        assert await node.status(token, path) in {403, 404}
    for number in range(4000):
        assert await node.status(token, f"{many}{number}") == 404
    assert node.middleware._server is not None
    memory = node.middleware._server.rulings
    paths = {key[1] for key in memory.kept}
    assert len(memory) == len(paths) == 2048 - 5, "the long one, twice 10 KB, uses room for six"
    assert set(known) < paths
    assert f"{many}1000" in paths
    assert f"{many}3999" not in paths
    for _ in range(2):
        assert await node.status(token, SELF + "/again") == 404
    paths = {key[1] for key in memory.kept}
    assert SELF + "/again" in paths
    assert known[0] not in paths, "the oldest one"


async def test_the_memories_have_the_sizes_of_the_settings(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    """As many tokens and requests are remembered as the settings say, down to none."""
    for tokens, requests in ((20, 30), (0, 0)):
        node = Node(
            make_settings,
            tmp_path,
            answering,
            remembered_tokens=tokens,
            remembered_requests=requests,
        )
        for number in range(40):
            token = SERVER.token(exp=node.now + 100, iat=None, jti=str(number))
            assert await node.status(token) == 404
        assert node.middleware._server is not None
        assert len(node.middleware._server.verifier._verified) == tokens
        assert len(node.middleware._server.rulings) == requests
        await node.lines()


@pytest.mark.parametrize("sizes", [(0, 5), (1, 1), (5, 0), (12, 40)], ids=str)
async def test_what_is_remembered_changes_no_answer(
    server: StandInAuthorizationServer, sizes: tuple[int, int]
) -> None:
    """Whatever comes, and whatever the clock and the keys do: as if nothing were remembered."""
    draw, begun = random.Random(str(sizes)), 1_800_000_000.0  # noqa: S311
    now = begun

    def make(tokens: int, requests: int) -> NmosAuthMiddleware:
        changes = {"remembered_tokens": tokens, "remembered_requests": requests}
        settings = server.settings(audit_log="off", **changes)
        return NmosAuthMiddleware(answering, settings, clock=lambda: now)

    def token(number: int) -> str:
        times = {"iat": begun - draw.randrange(50), "nbf": begun + draw.randrange(-50, 20)}
        claims = {**times, "exp": begun + draw.choice([5, 20, 100]), "some": "x" * 5000}
        if number % 5:
            del claims["some"]  # so that some tokens use the room of several
        if number % 7 == 3:
            claims["aud"] = "other.example.com"
        return server.token(read={"node": ["self"] if number % 2 else ["*"]}, claims=claims)

    remembering, forgetting = make(*sizes), make(0, 0)
    tokens = [token(number) for number in range(14)]
    servers = remembering.resource_server, forgetting.resource_server
    assert servers[0] is not None
    statuses = set()
    for _ in range(500):
        if draw.random() < 0.1:
            now = begun + draw.choice([-60, -30, -5, 0, 1, 4, 10, 30, 150])
        if draw.random() < 0.03:
            for server_of in servers:
                assert server_of is not None
                server_of._keys.withdrawals += 1
        changes = draw.choice([{}, {}, {"method": "PUT"}, {"method": "FOO"}, {"type": "websocket"}])
        path = draw.choice([SELF, SELF + "/", "/x-nmos/node", "/x-nmos/node/v1.3/a/../devices"])
        presented = draw.choice(tokens)
        scope = http_scope(path, presented, **changes)
        spelt = draw.choice(["Bearer {}"] * 8 + SPELLINGS).format(presented)
        scope["headers"] = [(b"authorization", spelt.encode())]
        if changes == {"type": "websocket"} and draw.random() < 0.3:
            scope["headers"], scope["query_string"] = [], f"access_token={presented}".encode()
        asked = [await ask(each, {**scope}) for each in (remembering, forgetting)]
        assert asked[0].sent == asked[1].sent
        statuses.add(asked[0].status)
        assert len(servers[0].verifier._verified) <= sizes[0]
        assert len(servers[0].rulings) <= sizes[1]
    assert statuses == {400, 401, 403, 404}


async def test_what_is_remembered_shows_no_token(make_node: MakeNode) -> None:
    """Permits hold the text of tokens as their keys, and no representation gives it away."""
    node = make_node(answering)
    token = SERVER.token(exp=node.now + 100, iat=None)
    assert await node.status(token) == 404
    server = node.middleware._server
    assert server is not None
    shown = f"{server!r} {vars(server)!r} {server.rulings!r} {held()!r}"
    assert not [part for part in token.split(".") if part in shown]
