"""Which permission a method needs (IS-10 Access Tokens, The Access Permissions Object)."""

from __future__ import annotations

from tests.contract.rows import (
    FORBIDDEN,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    OK,
    SELF,
    Answer,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene

READ = "IS-10 Access Tokens: read takes the form of GET, OPTIONS and HEAD"
WRITE = "IS-10 Access Tokens: write takes the form of POST, PUT, PATCH and DELETE"
OPEN = "design: OPTIONS always passes"
OTHER = "design: other methods, no token 401, any token 403"
CASE = "RFC 9110 Section 9.1: the method is case-sensitive"
SINGLE = "/x-nmos/connection/v1.1/single/senders"


def reader(mint: TableMint) -> str:
    """Return a token that may read everything there, and write nothing."""
    return mint.only(x_nmos_connection={"read": ["*"]})


def writer(mint: TableMint) -> str:
    """Return a token that may write everything there, and read nothing."""
    return mint.only(x_nmos_connection={"write": ["*"]})


def everything(mint: TableMint) -> str:
    """Return a token that may do everything there."""
    return mint.only(x_nmos_connection={"read": ["*"], "write": ["*"]})


def _others(method: str, source: str = OTHER) -> list[Row]:
    return [
        Row(f"{method}-no-token", source, (NO_CREDENTIALS,), SINGLE, method, token=None),
        Row(f"{method}-token", source, (FORBIDDEN,), SINGLE, method, token=everything),
    ]


ROWS = [
    *(
        row
        for method in ("GET", "HEAD")
        for row in (
            Row(f"{method}-reader", READ, (OK,), SINGLE, method, token=reader),
            Row(f"{method}-writer", READ, (FORBIDDEN,), SINGLE, method, token=writer),
            Row(f"{method}-no-token", READ, (NO_CREDENTIALS,), SINGLE, method, token=None),
            Row(
                f"{method}-expired", READ, (INVALID_TOKEN,), SINGLE, method, token=TableMint.expired
            ),
        )
    ),
    *(
        row
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for row in (
            Row(f"{method}-writer", WRITE, (OK,), SINGLE, method, token=writer),
            Row(f"{method}-reader", WRITE, (FORBIDDEN,), SINGLE, method, token=reader),
            Row(f"{method}-no-token", WRITE, (NO_CREDENTIALS,), SINGLE, method, token=None),
            Row(
                f"{method}-body",
                WRITE,
                (NO_CREDENTIALS,),
                SINGLE,
                method,
                token=None,
                body=b"{}" * 500,
            ),
        )
    ),
    Row("OPTIONS-no-token", OPEN, (OK,), SINGLE, "OPTIONS", token=None, reached=SINGLE),
    Row("OPTIONS-writer", OPEN, (OK,), SINGLE, "OPTIONS", token=writer, reached=SINGLE),
    Row("OPTIONS-expired", OPEN, (OK,), SINGLE, "OPTIONS", token=TableMint.expired, reached=SINGLE),
    Row("OPTIONS-rubbish", OPEN, (OK,), SELF, "OPTIONS", token=lambda _: "rubbish"),
    Row(
        "OPTIONS-malformed",
        OPEN,
        (OK,),
        SELF,
        "OPTIONS",
        token=None,
        headers=(("Authorization", "Bearer"),),
    ),
    Row("OPTIONS-public", OPEN, (OK,), "/x-nmos", "OPTIONS", token=None),
    Row(
        "OPTIONS-dots",
        "design: one path",
        (OK,),
        "/x-nmos/a/../node/v1.3/self",
        "OPTIONS",
        token=None,
        reached=SELF,
    ),
    Row(
        "OPTIONS-refused-target",
        "design: one path",
        (Answer(400),),
        "/x-nmos//self",
        "OPTIONS",
        token=None,
    ),
    *(
        row
        for method in ("TRACE", "PROPFIND", "QUERY", "CONNECT", "XYZZY")
        for row in _others(method)
    ),
    *(row for method in ("get", "hEAD", "options", "GET2", "GE") for row in _others(method, CASE)),
    Row(
        "TRACE-expired", OTHER, (INVALID_TOKEN, FORBIDDEN), SINGLE, "TRACE", token=TableMint.expired
    ),
    Row(
        "PROPFIND-base",
        OTHER,
        (FORBIDDEN,),
        "/x-nmos/connection/v1.1/",
        "PROPFIND",
        token=everything,
    ),
    Row("PROPFIND-x-nmos", OTHER, (FORBIDDEN,), "/x-nmos", "PROPFIND", token=everything),
    Row("PROPFIND-x-nmos-no-token", OTHER, (NO_CREDENTIALS,), "/x-nmos", "PROPFIND", token=None),
    Row("get-x-nmos", CASE, (NO_CREDENTIALS,), "/x-nmos", "get", token=None),
]


@parametrized(ROWS)
def test_methods(scene: Scene, row: Row) -> None:
    """A method needs the permission that IS-10 gives it; any other gets no further."""
    scene.check(row)
