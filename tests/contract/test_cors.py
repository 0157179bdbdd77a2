"""Cross-origin requests: preflights carry no token, and errors can be read (Fetch, IS-04 APIs)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.conftest import MakeSettings
from tests.contract.rows import (
    FORBIDDEN,
    INVALID_REQUEST,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    OK,
    SELF,
    Answer,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene, echo_app, held
from tests.support.sockets import Header, Reply, exchange, request_bytes

PREFLIGHT = "design: preflights under /x-nmos are answered with Authorization allowed"
AMWA = "nmos-testing check_CORS: no token, and the headers asked for are listed"
ERRORS = "contract: CORS headers on errors too"
OWN = "design: paths outside /x-nmos are the application's own"
SINGLE = "/x-nmos/connection/v1.1/single/senders"
ANSWERED = (Answer(200), Answer(204))
FROM_APP = "https://controller.example.com"


def _preflight(
    name: str,
    method: str,
    target: str = SINGLE,
    *,
    origin: str | None = None,
    asked: str | None = "authorization",
    source: str = PREFLIGHT,
    more: tuple[Header, ...] = (),
) -> Row:
    headers: list[Header] = [("Access-Control-Request-Method", method), *more]
    lists = [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", method),
        ("Access-Control-Allow-Headers", "authorization"),
    ]
    if origin is not None:
        headers.append(("Origin", origin))
    if asked is not None:
        headers.append(("Access-Control-Request-Headers", asked))
        lists += [("Access-Control-Allow-Headers", each) for each in asked.split(", ")]
    return Row(
        f"preflight-{name}",
        source,
        ANSWERED,
        target,
        "OPTIONS",
        token=None,
        headers=tuple(headers),
        lists=tuple(lists),
    )


ORIGIN: Header = ("Origin", FROM_APP)

ROWS = [
    *(
        _preflight(method, method, origin=FROM_APP)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    ),
    *(
        _preflight(f"{method}-without-origin", method, source=AMWA)
        for method in ("GET", "POST", "PATCH", "DELETE")
    ),
    _preflight("null-origin", "GET", origin="null", source=AMWA),
    _preflight(
        "content-type", "PATCH", origin="null", asked="authorization, content-type", source=AMWA
    ),
    _preflight("content-type-alone", "PATCH", asked="Content-Type", source=AMWA),
    _preflight("asks-for-no-headers", "GET", origin=FROM_APP, asked=None),
    _preflight("base-path", "GET", "/x-nmos/node/v1.3/", origin=FROM_APP),
    _preflight("with-dots", "GET", "/x-nmos/a/../node/v1.3/self", origin=FROM_APP),
    _preflight(
        "with-rubbish-token", "GET", origin=FROM_APP, more=(("Authorization", "Bearer rubbish"),)
    ),
    _preflight("with-malformed-token", "GET", origin=FROM_APP, more=(("Authorization", "Bearer"),)),
    Row(
        "preflight-outside",
        OWN,
        (OK,),
        "/status",
        "OPTIONS",
        token=None,
        reached="/status",
        decided=False,
        headers=(ORIGIN, ("Access-Control-Request-Method", "GET")),
    ),
    Row(
        "preflight-refused-target",
        "design: one path",
        (*ANSWERED, Answer(400)),
        "/x-nmos//self",
        "OPTIONS",
        token=None,
        headers=(ORIGIN, ("Access-Control-Request-Method", "GET")),
    ),
    Row("error-no-token", ERRORS, (NO_CREDENTIALS,), token=None, headers=(ORIGIN,)),
    Row("error-expired", ERRORS, (INVALID_TOKEN,), token=TableMint.expired, headers=(ORIGIN,)),
    Row("error-forbidden", ERRORS, (FORBIDDEN,), SELF, "PATCH", headers=(ORIGIN,)),
    Row(
        "error-malformed",
        ERRORS,
        (INVALID_REQUEST,),
        token=None,
        headers=(ORIGIN, ("Authorization", "Bearer")),
    ),
    Row("error-target", ERRORS, (Answer(400),), "/x-nmos//", headers=(ORIGIN,)),
    Row("error-method", ERRORS, (FORBIDDEN,), SELF, "PROPFIND", headers=(ORIGIN,)),
    Row("error-null-origin", ERRORS, (NO_CREDENTIALS,), token=None, headers=(("Origin", "null"),)),
]


@parametrized(ROWS)
def test_cors(scene: Scene, row: Row) -> None:
    """A page of any origin can ask, and read why it was refused."""
    scene.check(row)


def test_preflights_send_nothing_twice(scene: Scene) -> None:
    """A preflight's answer has each header once, no body, and no challenge."""
    reply = scene.ask(_preflight("once", "GET", origin=FROM_APP))
    names = [name for name, _ in reply.headers]
    assert len(names) == len(set(names))
    assert reply.body in {b"", b"OK"}
    assert reply.header("www-authenticate") is None


@pytest.fixture(scope="module")
def restricted(mint: TableMint, make_settings: MakeSettings) -> Iterator[Scene]:
    """Serve the app for the pages of two origins only."""
    settings = make_settings(cors_origins=f"{FROM_APP},https://other.example.com")
    with held(echo_app(settings), mint) as running:
        yield running


def _from(scene: Scene, origin: str | None, method: str = "GET", *more: Header) -> Reply:
    headers = [*more] if origin is None else [("Origin", origin), *more]
    return exchange(scene.port, request_bytes(method, SELF, headers))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_listed_origins_may_read(restricted: Scene, method: str) -> None:
    """A listed origin is named in the answer, which caches keep apart by Origin."""
    for origin in (FROM_APP, "https://other.example.com"):
        reply = _from(restricted, origin, method, ("Access-Control-Request-Method", "GET"))
        assert reply.header("access-control-allow-origin") == origin
        assert reply.header("access-control-allow-credentials") == "true"
        assert "origin" in reply.listed("vary")


def test_pages_of_public_networks_may_ask(restricted: Scene) -> None:
    """Private Network Access: a listed origin's preflight is told that the Node may be reached."""
    asked: list[Header] = [
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Private-Network", "true"),
    ]
    name = "access-control-allow-private-network"
    assert _from(restricted, FROM_APP, "OPTIONS", *asked).header(name) == "true"
    assert _from(restricted, "https://evil.example", "OPTIONS", *asked).header(name) is None


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        "http://controller.example.com",
        "https://controller.example.com:8443",
        "https://controller.example.com.evil.example",
        "https://evil.example,https://controller.example.com",
    ],
)
def test_other_origins_may_not(restricted: Scene, method: str, origin: str | None) -> None:
    """No other origin is ever allowed, and the answer still varies by Origin."""
    reply = _from(restricted, origin, method, ("Access-Control-Request-Method", "GET"))
    assert reply.header("access-control-allow-origin") in {
        None,
        FROM_APP,
        "https://other.example.com",
    }
    assert reply.header("access-control-allow-origin") != origin or origin is None
    assert "origin" in reply.listed("vary")
