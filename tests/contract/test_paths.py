"""One path: what the middleware judges is what the application gets (RFC 3986 Section 6)."""

from __future__ import annotations

from tests.contract.rows import (
    BAD_TARGET,
    FORBIDDEN,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    NODE,
    OK,
    REFUSED_BY_SERVER,
    SELF,
    Answer,
    Row,
    TableMint,
    parametrized,
)
from tests.contract.scene import Scene

ONE_PATH = "design: one path"
DOTS = "IS-10 Access Tokens, The Access Permissions Object: URL Normalization"
PUBLIC = "IS-10 Resource Servers, Path Validation: / and /x-nmos"
OUTSIDE = "design: paths outside /x-nmos are the application's own"
ROUND = "design: /X-NMOS is no way round"
TARGET = "RFC 9112 Section 3.2"
ABSOLUTE = "RFC 9112 Section 3.2.2: a server MUST accept the absolute-form"


def self_only(mint: TableMint) -> str:
    """Return a token that may read `self` of node, and nothing else."""
    return mint.only(x_nmos_node={"read": ["self"]})


def all_of_node(mint: TableMint) -> str:
    """Return a token that may read all of node, and nothing else."""
    return mint.only(x_nmos_node={"read": ["*"]})


def _canonical(name: str, target: str, reached: str = SELF, source: str = ONE_PATH) -> list[Row]:
    """Return rows for a target that stands for another: permitted as that one."""
    if reached != SELF:
        return [Row(name, source, (OK,), target, token=all_of_node, reached=reached)]
    return [
        Row(name, source, (OK,), target, token=self_only, reached=reached),
        Row(f"{name}-no-token", source, (NO_CREDENTIALS,), target, token=None),
    ]


def _refused(name: str, target: str | bytes, *answers: Answer, source: str = ONE_PATH) -> list[Row]:
    """Return a row for a target that has no canonical form: refused, whatever the token."""
    allowed = answers or (BAD_TARGET,)
    decided = not any(answer.server for answer in allowed)
    return [Row(name, source, allowed, target, decided=decided)]


CANONICAL = [
    *_canonical("plain", SELF),
    *_canonical("trailing-slash", SELF + "/", SELF + "/"),
    *_canonical("dot", "/x-nmos/./node/v1.3/self", source=DOTS),
    *_canonical("dot-dot", "/x-nmos/node/v1.3/devices/../self", source=DOTS),
    *_canonical("dot-dot-twice", "/x-nmos/node/v1.3/a/b/../../self", source=DOTS),
    *_canonical("dot-dot-above-root", "/../../x-nmos/node/v1.3/self", source=DOTS),
    *_canonical("dot-dot-from-outside", "/docs/../x-nmos/node/v1.3/self", source=DOTS),
    *_canonical("dot-dot-from-other-api", "/x-nmos/query/../node/v1.3/self", source=DOTS),
    *_canonical("dot-dot-across-version", "/x-nmos/node/v1.2/../v1.3/self", source=DOTS),
    *_canonical("dot-encoded", "/x-nmos/%2e/node/v1.3/self"),
    *_canonical("dot-dot-encoded", "/x-nmos/node/v1.3/devices/%2e%2e/self"),
    *_canonical("dot-dot-mixed-case", "/x-nmos/node/v1.3/devices/%2E%2e/self"),
    *_canonical("dot-dot-half-encoded", "/x-nmos/node/v1.3/devices/.%2e/self"),
    *_canonical("dot-dot-other-half", "/x-nmos/node/v1.3/devices/%2E./self"),
    *_canonical("dot-dot-at-end", NODE + "devices/..", NODE),
    *_canonical("dot-at-end", NODE + "devices/.", NODE + "devices/"),
    *_canonical("dot-dot-encoded-at-end", NODE + "devices/x/%2e%2e", NODE + "devices/"),
    *_canonical("three-dots", NODE + "...", NODE + "..."),
    *_canonical("dots-with-parameter", NODE + "devices/..;/self", NODE + "devices/..;/self"),
    *_canonical("dot-file", NODE + ".self", NODE + ".self"),
    *_canonical("encoded-letter", "/x-nmos/node/v1.3/%73elf"),
    *_canonical("encoded-letter-of-root", "/%78-nmos/node/v1.3/self"),
    *_canonical("encoded-hyphen-of-root", "/x%2Dnmos/node/v1.3/self"),
    *_canonical("encoded-letter-of-api", "/x-nmos/%6eode/v1.3/self"),
    *_canonical("encoded-dot-of-version", "/x-nmos/node/v1%2e3/self"),
    *_canonical("double-encoded-letter", NODE + "%2573elf", NODE + "%73elf"),
    *_canonical("double-encoded-dots", NODE + "a/%252e%252e/self", NODE + "a/%2e%2e/self"),
    *_canonical("double-encoded-slash", NODE + "a%252fb", NODE + "a%2fb"),
    *_canonical("double-encoded-backslash", NODE + "a%255cb", NODE + "a%5cb"),
    *_canonical("encoded-percent", NODE + "100%25", NODE + "100%"),
    *_canonical("encoded-question-mark", NODE + "a%3Fb", NODE + "a?b"),
    *_canonical("encoded-hash", NODE + "a%23b", NODE + "a#b"),
    *_canonical("encoded-semicolon", NODE + "a%3Bb", NODE + "a;b"),
    *_canonical("plus-is-no-space", NODE + "a+b", NODE + "a+b"),
    *_canonical("utf-8", NODE + "caf%C3%A9", NODE + "café"),
    *_canonical("full-width-dots", NODE + "%EF%BC%8E%EF%BC%8E/self", NODE + "．．/self"),  # noqa: RUF001
    *_canonical("full-width-slash", NODE + "a%EF%BC%8Fself", NODE + "a／self"),  # noqa: RUF001
    *_canonical("supplementary-plane", NODE + "%F0%9F%98%80", NODE + "\U0001f600"),
    *_canonical("query", SELF + "?verbose=1", source="IS-10: ignoring any URL query parameters"),
    *_canonical("query-with-dots", SELF + "?../../bulk", source="IS-10: ignoring any query"),
    *_canonical("query-with-question-mark", SELF + "?a?b/../c", source="IS-10: ignoring any query"),
    *_canonical("query-with-escapes", SELF + "?a=%2F%5C%00", source="IS-10: ignoring any query"),
    *_canonical("query-empty", SELF + "?", source="IS-10: ignoring any query"),
    Row(
        "dot-dot-encoded-leaves-the-specifier",
        "IS-10: single/../bulk MUST NOT be permitted by single/*",
        (FORBIDDEN,),
        "/x-nmos/connection/v1.1/single/%2e%2e/bulk/senders",
        token=lambda mint: mint.only(x_nmos_connection={"read": ["single/*"]}),
    ),
    Row(
        "dot-dot-enters-the-specifier",
        "IS-10: single/../bulk MUST NOT be permitted by single/*",
        (OK,),
        "/x-nmos/connection/v1.1/bulk/../single/senders",
        token=lambda mint: mint.only(x_nmos_connection={"read": ["single/*"]}),
        reached="/x-nmos/connection/v1.1/single/senders",
    ),
    Row("dot-dot-to-other-api", DOTS, (FORBIDDEN,), "/x-nmos/node/../query/v1.3/nodes"),
    Row("encoded-space-is-another-path", ONE_PATH, (FORBIDDEN,), SELF + "%20", token=self_only),
    Row(
        "double-encoded-is-another-path", ONE_PATH, (FORBIDDEN,), NODE + "%2573elf", token=self_only
    ),
    Row("dots-in-query-lead-nowhere", DOTS, (FORBIDDEN,), NODE + "x?/../self", token=self_only),
]

REFUSED = [
    *_refused("slash-encoded", NODE + "a%2fb"),
    *_refused("slash-encoded-upper", NODE + "a%2Fb"),
    *_refused("slash-encoded-in-root", "/x-nmos%2Fnode/v1.3/self"),
    *_refused("slash-encoded-first", "/%2Fx-nmos/node/v1.3/self"),
    *_refused("slash-encoded-with-dots", NODE + "devices%2f..%2fself"),
    *_refused("backslash", NODE + "a\\b"),
    *_refused("backslash-dots", NODE + "devices\\..\\self"),
    *_refused("backslash-first", "\\x-nmos\\node\\v1.3\\self"),
    *_refused("backslash-encoded", NODE + "a%5cb"),
    *_refused("backslash-encoded-upper", NODE + "..%5C..%5Cself"),
    *_refused("nul", SELF + "%00"),
    *_refused("newline", SELF + "%0a"),
    *_refused("carriage-return", SELF + "%0D"),
    *_refused("tab", NODE + "a%09b"),
    *_refused("unit-separator", NODE + "%1f"),
    *_refused("delete", NODE + "%7f"),
    *_refused("next-line", NODE + "%C2%85"),
    *_refused("double-slash-first", "//x-nmos/node/v1.3/self"),
    *_refused("double-slash-in-root", "/x-nmos//node/v1.3/self"),
    *_refused("double-slash-inside", NODE + "devices//x"),
    *_refused("double-slash-last", SELF + "//"),
    *_refused("double-slash-root", "//"),
    *_refused("double-slash-by-dot", NODE + ".//self"),
    *_refused("double-slash-removed-by-dots", "/a//../../x-nmos/node/v1.3/self"),
    *_refused("bad-utf-8", NODE + "%ff"),
    *_refused("bad-utf-8-cut-short", NODE + "%C3"),
    *_refused("latin-1", NODE + "caf%E9"),
    *_refused("overlong-slash", NODE + "a%c0%afb"),
    *_refused("overlong-dots", NODE + "a/%c0%ae%c0%ae/self"),
    *_refused("overlong-slash-of-three", NODE + "a%e0%80%afb"),
    *_refused("surrogate", NODE + "%ed%a0%80"),
    *_refused("beyond-unicode", NODE + "%f4%90%80%80"),
    *_refused("escape-bare", NODE + "100%"),
    *_refused("escape-cut-short", NODE + "a%2"),
    *_refused("escape-not-hex", NODE + "%zzself"),
    *_refused("escape-signed", NODE + "%+1self"),
    *_refused("escape-of-u", NODE + "%u002e%u002e/self"),
    *_refused("space", NODE + "a b", REFUSED_BY_SERVER, source=TARGET),
    *_refused("control", NODE + "a\x01b", REFUSED_BY_SERVER, BAD_TARGET, source=TARGET),
    *_refused("raw-utf-8", NODE.encode() + "é".encode(), REFUSED_BY_SERVER, source=TARGET),
    *_refused("raw-latin-1", NODE.encode() + b"\xe9", REFUSED_BY_SERVER, source=TARGET),
    *_refused("slash-encoded-outside", "/docs%2f..%2fx-nmos/node/v1.3/self"),
    *_refused("double-slash-outside", "/docs//x"),
    *_refused("bad-utf-8-outside", "/docs/%ff"),
]

FORMS = [
    *_canonical("absolute-form", "http://node1.example.com" + SELF, source=ABSOLUTE),
    *_canonical("absolute-form-of-https", "https://node1.example.com:443" + SELF, source=ABSOLUTE),
    *_canonical("absolute-form-in-capitals", "HTTP://NODE1.EXAMPLE.COM" + SELF, source=ABSOLUTE),
    *_canonical("absolute-form-of-other-host", "http://other.example" + SELF, source=ABSOLUTE),
    *_canonical("absolute-form-with-dots", "http://h/docs/.." + SELF, source=ABSOLUTE),
    *_canonical("absolute-form-with-query", f"http://h{SELF}?a=http://h/b", source=ABSOLUTE),
    Row("absolute-form-root", ABSOLUTE, (OK,), "http://h/", token=None, reached="/"),
    Row("absolute-form-outside", ABSOLUTE, (OK,), "http://h/status", token=None, decided=False),
    Row("absolute-form-double-slash", ABSOLUTE, (BAD_TARGET,), f"http://h/{SELF}"),
    Row(
        "absolute-form-of-other-scheme",
        ABSOLUTE,
        (BAD_TARGET, NO_CREDENTIALS),
        "ftp://h" + SELF,
        token=None,
    ),
    Row("asterisk-form", TARGET, (BAD_TARGET, NO_CREDENTIALS), "*", token=None),
    Row(
        "no-leading-slash",
        TARGET,
        (BAD_TARGET, NO_CREDENTIALS),
        "x-nmos/node/v1.3/self",
        token=None,
    ),
    Row("fragment", TARGET, (BAD_TARGET, NO_CREDENTIALS), SELF + "#x", token=None),
    Row("upper-case-root", ROUND, (OK, FORBIDDEN, BAD_TARGET), "/X-NMOS/node/v1.3/self"),
    Row("mixed-case-root", ROUND, (OK, FORBIDDEN, BAD_TARGET), "/x-Nmos/node/v1.3/self"),
    Row(
        "upper-case-root-no-token",
        ROUND,
        (NO_CREDENTIALS, BAD_TARGET),
        "/X-NMOS/node/v1.3/self",
        token=None,
    ),
    Row("upper-case-root-base", ROUND, (NO_CREDENTIALS, BAD_TARGET), "/X-NMOS/node", token=None),
    Row(
        "encoded-upper-case-root",
        ROUND,
        (NO_CREDENTIALS, BAD_TARGET),
        "/%58-nmos/node/v1.3/self",
        token=None,
    ),
    Row(
        "method-override",
        "RFC 9110 Section 9.1",
        (FORBIDDEN,),
        method="PUT",
        headers=(("X-HTTP-Method-Override", "GET"),),
    ),
    Row(
        "original-url-header",
        TARGET,
        (NO_CREDENTIALS,),
        token=None,
        headers=(
            ("X-Original-URL", "/"),
            ("X-Rewrite-URL", "/"),
            ("X-Forwarded-Prefix", "/x-nmos"),
        ),
    ),
]


def _public(name: str, target: str, reached: str | None = None) -> list[Row]:
    return [
        Row(f"public-{name}", PUBLIC, (OK,), target, token=None, reached=reached or target),
        Row(f"public-{name}-good-token", PUBLIC, (OK,), target, reached=reached or target),
        Row(
            f"public-{name}-expired",
            PUBLIC,
            (OK,),
            target,
            token=TableMint.expired,
            reached=reached or target,
        ),
        Row(f"public-{name}-head", PUBLIC, (OK,), target, method="HEAD", token=None),
    ]


BAD_HEADERS: list[tuple[str, tuple[tuple[str, str], ...]]] = [
    ("rubbish", (("Authorization", "Bearer rubbish"),)),
    ("malformed", (("Authorization", "Bearer"),)),
    ("two", (("Authorization", "Bearer a.b.c"), ("Authorization", "Bearer d.e.f"))),
    ("basic", (("Authorization", "Basic dXNlcjpwYXNz"),)),
]

ROOTS = [
    *_public("root", "/"),
    *_public("x-nmos", "/x-nmos"),
    *_public("x-nmos-slash", "/x-nmos/"),
    *_public("x-nmos-query", "/x-nmos?a=1", "/x-nmos"),
    *_public("x-nmos-dot", "/x-nmos/.", "/x-nmos/"),
    *_public("x-nmos-from-api", "/x-nmos/node/..", "/x-nmos/"),
    *_public("root-from-x-nmos", "/x-nmos/..", "/"),
    *(
        Row(
            f"public-{path.strip('/') or 'root'}-{name}",
            PUBLIC,
            (OK,),
            path,
            token=None,
            headers=headers,
        )
        for path in ("/", "/x-nmos/")
        for name, headers in BAD_HEADERS
    ),
    Row("post-x-nmos-no-token", PUBLIC, (NO_CREDENTIALS,), "/x-nmos", method="POST", token=None),
    Row("post-x-nmos", PUBLIC, (FORBIDDEN,), "/x-nmos", method="POST"),
    Row("delete-x-nmos-slash", PUBLIC, (FORBIDDEN,), "/x-nmos/", method="DELETE"),
    Row(
        "post-x-nmos-expired",
        PUBLIC,
        (INVALID_TOKEN,),
        "/x-nmos",
        method="POST",
        token=TableMint.expired,
    ),
    *(
        Row(f"outside-{name}", OUTSIDE, (OK,), target, token=None, reached=reached, decided=False)
        for name, target, reached in (
            ("path", "/status", "/status"),
            ("longer-name", "/x-nmosy/node/v1.3/self", "/x-nmosy/node/v1.3/self"),
            ("hyphenated-name", "/x-nmos-node/v1.3/self", "/x-nmos-node/v1.3/self"),
            ("parameter", "/x-nmos;a/node", "/x-nmos;a/node"),
            ("deeper", "/api/x-nmos/node/v1.3/self", "/api/x-nmos/node/v1.3/self"),
            ("left-by-dots", "/x-nmos/../status", "/status"),
            ("dots", "/a/./b/../status", "/a/status"),
        )
    ),
    *(
        Row(
            f"outside-{name}", OUTSIDE, (OK,), "/status", token=None, headers=headers, decided=False
        )
        for name, headers in BAD_HEADERS
    ),
    Row("outside-method", OUTSIDE, (OK,), "/status", method="PROPFIND", token=None, decided=False),
    Row("outside-write", OUTSIDE, (OK,), "/status", method="DELETE", token=None, decided=False),
]

ROWS = [*CANONICAL, *REFUSED, *FORMS, *ROOTS]


@parametrized(ROWS)
def test_paths(scene: Scene, row: Row) -> None:
    """The path that is judged is the path the application gets, and there is only one."""
    scene.check(row)
