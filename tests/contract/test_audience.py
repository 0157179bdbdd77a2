"""Whether a token is for this server, which is known by four names (IS-10 Access Tokens, aud)."""

from __future__ import annotations

from tests.contract.rows import FORBIDDEN, OK, Answer, Row, TableMint, parametrized
from tests.contract.scene import Scene

NAME = "IS-10 Access Tokens, aud: MUST be capable of URI and domain name alike"
VOID = "IS-10 Access Tokens, aud: MUST NOT include port numbers, URL paths or URL query parameters"
WILD = "IS-10 Access Tokens, aud: wild-card characters; design: aud"
OTHER = "IS-10 Access Tokens, aud: does not match, MUST reject"
LATER = "design: a * in any other label voids the entry; RFC 4592 Section 2.1.1"
FORM = "IS-10 token_schema.json: aud is an array of strings or a string"


def _aud(name: str, source: str, answer: Answer, aud: object) -> Row:
    def make(mint: TableMint) -> str:
        return mint.token(aud=aud)

    return Row(name, source, (answer,), token=make)


def _matching(name: str, aud: object, source: str = WILD) -> Row:
    return _aud(name, source, OK, aud)


def _other(name: str, aud: object, source: str = OTHER) -> Row:
    return _aud(name, source, FORBIDDEN, aud)


ROWS = [
    _matching("string-uri", "https://node1.example.com", FORM),
    _matching("upper-case", ["NODE1.Example.COM"], "RFC 4343: case is ignored"),
    _matching("upper-case-scheme", ["HTTPS://node1.example.com"], "RFC 3986 Section 3.1"),
    _matching("trailing-dot", ["node1.example.com."], "design: one trailing dot dropped"),
    _matching(
        "https-trailing-dot", ["https://node1.example.com."], "design: one trailing dot dropped"
    ),
    _matching("fourth-name", ["DESK.example.int"], NAME),
    _matching("second-name", ["a.b.example.net"], NAME),
    _matching("beside-void", ["https://node1.example.com:443", "node1.example.com"], FORM),
    _matching("wild-domain-upper-case", ["*.EXAMPLE.com"]),
    _matching("wild-domain-trailing-dot", ["*.example.com."]),
    _matching("wild-domain-deep", ["*.example.net"]),
    _matching("wild-top-level", ["*.net"]),
    _matching("wild-string", "*.example.com"),
    _matching("wild-in-label", ["node-*.example.org"]),
    _matching("wild-in-label-https", ["https://node-*.example.org"]),
    _matching("wild-in-label-first", ["*-7.example.org"]),
    _matching("wild-in-label-middle", ["n*7.example.org"]),
    _matching("anything", ["*"], "design: * anything"),
    _matching("anything-string", "*", "design: * anything"),
    _matching("anything-twice", ["**"], "design: * anything"),
    _other("empty-string", ""),
    _other("other-name", ["node2.example.com"]),
    _other("others", ["a.example.com", "b.example.com"]),
    _other("short-name", ["node1"]),
    _other("two-trailing-dots", ["node1.example.com.."], "design: one trailing dot dropped"),
    _other("leading-dot", [".example.com"]),
    _other("space-in-front", [" node1.example.com"]),
    _other("newline-behind", ["node1.example.com\n"]),
    _other("two-by-space", ["other.example.com node1.example.com"]),
    _other("full-width", ["ｎｏｄｅ1.example.com"]),  # noqa: RUF001
    _other("kelvin-sign", ["des\u212a.example.int"], "RFC 4343: case of ASCII letters alone"),
    _other("urn", ["urn:node1.example.com"]),
    _other("port-empty", ["https://node1.example.com:"], VOID),
    _other("slash", ["https://node1.example.com/"], VOID),
    _other("path-without-scheme", ["node1.example.com/x-nmos"], VOID),
    _other("fragment", ["https://node1.example.com#a"], VOID),
    _other("userinfo", ["https://user@node1.example.com"], VOID),
    _other("wild-port", ["*:443"], VOID),
    _other("wild-path", ["https://*/x-nmos"], VOID),
    _other("wild-other-domain", ["*.example.edu"]),
    _other("wild-longer-domain", ["*.xample.com"], WILD),
    _other("wild-across-a-dot", ["a*.example.net"], WILD),
    _other("wild-across-a-dot-first", ["*b.example.net"], WILD),
    _other("wild-across-all-dots", ["n*.com"], WILD),
    _other("wild-in-label-other", ["node-*.example.com"], WILD),
    _other("wild-in-second-label", ["node1.*.com"], LATER),
    _other("wild-in-part-of-second-label", ["node1.exa*le.com"], LATER),
    _other("wild-in-both-labels", ["*.*.com"], LATER),
    _other("wild-label-and-wild-domain", ["node-*.*.org"], LATER),
    _other("pattern-of-dots", ["....................."]),
    _other("pattern-of-class", ["node[0-9].example.com"]),
    _other("pattern-of-question-mark", ["node?.example.com"]),
    _other("hostile-pattern", ["*a" * 500 + "b.example.com"]),
]


@parametrized(ROWS)
def test_audience(scene: Scene, row: Row) -> None:
    """A token that names this server is valid here, and no other token is."""
    scene.check(row)
