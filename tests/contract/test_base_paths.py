"""Base paths: what comes before a path specifier can begin (IS-10 Path Validation)."""

from __future__ import annotations

from tests.contract.rows import (
    FORBIDDEN,
    INVALID_TOKEN,
    NO_CREDENTIALS,
    NODE,
    OK,
    Answer,
    Row,
    only,
    parametrized,
)
from tests.contract.scene import Scene
from tests.support.tokens import NULL

BASE = "IS-10 Resource Servers, Path Validation: claim, scope or both"
BASE_WRITE = "design: base paths, write needs a specifier that matches the empty path"
TYPE = "design: a claim of the wrong JSON type never grants"
VERSION = "design: base paths are /x-nmos/api and /x-nmos/api/vN.N"
SCOPE = "RFC 6749 Section 3.3: scope is a list of space-delimited, case-sensitive strings"


def _base(
    name: str, answer: Answer, *more: Answer, source: str = BASE, **claims: object
) -> list[Row]:
    """Return a row for each of the base paths of node, with and without a slash."""
    return [
        Row(
            f"base-{name}-{place}",
            source,
            (answer, *more),
            target,
            token=only(**claims),
            reached=reached,
        )
        for place, target in (
            ("api", "/x-nmos/node"),
            ("api-slash", "/x-nmos/node/"),
            ("version", "/x-nmos/node/v1.3"),
            ("version-slash", "/x-nmos/node/v1.3/"),
        )
        for reached in [target if answer is OK and not more else None]
    ]


BASES = [
    *_base("claim", OK, x_nmos_node={"read": ["self"]}),
    *_base("scope", OK, scope="node"),
    *_base("both", OK, scope="node", x_nmos_node={"read": ["*"]}),
    *_base("neither", FORBIDDEN, scope="query", x_nmos_query={"read": ["*"]}),
    *(
        Row(f"base-{name}", source, (answer,), "/x-nmos/node/v1.3/", token=only(**claims))
        for name, source, answer, claims in (
            ("nothing", BASE, FORBIDDEN, {}),
            ("scope-first", SCOPE, OK, {"scope": "node query"}),
            (
                "amwa-nonsense",
                "nmos-testing: Incorrect Authorization Scope",
                FORBIDDEN,
                {"scope": "nonsense", "x_nmos_nonsense": {"read": ["a"]}},
            ),
            ("claim-null", TYPE, FORBIDDEN, {"x_nmos_node": NULL}),
            ("claim-wildcard", TYPE, FORBIDDEN, {"x_nmos_node": "*"}),
            ("claim-number", TYPE, FORBIDDEN, {"x_nmos_node": 1}),
            ("claim-null-and-scope", BASE, OK, {"x_nmos_node": NULL, "scope": "node"}),
            ("claim-of-wildcard-name", TYPE, FORBIDDEN, {"x_nmos_*": {"read": ["*"]}}),
            ("claim-in-capitals", BASE, FORBIDDEN, {"X-NMOS-NODE": {"read": ["*"]}}),
        )
    ),
    Row("base-scope-array", TYPE, (INVALID_TOKEN, FORBIDDEN), NODE, token=only(scope=["node"])),
    Row(
        "base-scope-object",
        TYPE,
        (INVALID_TOKEN, FORBIDDEN),
        NODE,
        token=only(scope={"node": True}),
    ),
    Row("base-scope-true", TYPE, (INVALID_TOKEN, FORBIDDEN), NODE, token=only(scope=True)),
    Row("base-scope-tab", SCOPE, (INVALID_TOKEN, FORBIDDEN), NODE, token=only(scope="node\tquery")),
    Row(
        "base-other-case",
        BASE,
        (FORBIDDEN,),
        "/x-nmos/Node/v1.3/",
        token=only(scope="node", x_nmos_node={"read": ["*"]}),
    ),
    Row("base-no-token", BASE, (NO_CREDENTIALS,), "/x-nmos/node", token=None),
    Row("base-head", BASE, (OK,), "/x-nmos/node/v1.3", method="HEAD", token=only(scope="node")),
    Row("base-unknown-api", BASE, (FORBIDDEN,), "/x-nmos/unknown/v1.0/"),
    Row(
        "base-unknown-api-with-scope",
        BASE,
        (OK,),
        "/x-nmos/unknown/v1.0/",
        token=only(scope="unknown"),
    ),
    Row("base-other-version", BASE, (OK,), "/x-nmos/node/v27.182/", token=only(scope="node")),
    Row(
        "base-api-of-hyphens",
        BASE,
        (OK,),
        "/x-nmos/a-b/v1.0/",
        token=lambda mint: mint.only(**{"x-nmos-a-b": {"read": ["x"]}}),
    ),
    Row(
        "base-write-scope", BASE_WRITE, (FORBIDDEN,), NODE, method="POST", token=only(scope="node")
    ),
    Row(
        "base-write-read-claim",
        BASE_WRITE,
        (FORBIDDEN,),
        NODE,
        method="POST",
        token=only(scope="node", x_nmos_node={"read": ["*"]}),
    ),
    Row(
        "base-write-all",
        BASE_WRITE,
        (OK,),
        NODE,
        method="POST",
        token=only(x_nmos_node={"write": ["*"]}),
    ),
    Row(
        "base-write-all-without-slash",
        BASE_WRITE,
        (OK,),
        "/x-nmos/node",
        method="PUT",
        token=only(x_nmos_node={"write": ["*"]}),
    ),
    Row(
        "base-write-two-stars",
        BASE_WRITE,
        (OK,),
        NODE,
        method="DELETE",
        token=only(x_nmos_node={"write": ["**"]}),
    ),
    Row(
        "base-write-prefix",
        BASE_WRITE,
        (FORBIDDEN,),
        NODE,
        method="PATCH",
        token=only(x_nmos_node={"write": ["self*", "s*"]}),
    ),
    Row(
        "base-write-other-api",
        BASE_WRITE,
        (FORBIDDEN,),
        NODE,
        method="POST",
        token=only(x_nmos_query={"write": ["*"]}),
    ),
]

UNVERSIONED = [
    Row(
        f"unversioned-{name}",
        VERSION,
        (FORBIDDEN,),
        f"/x-nmos/node/{segment}",
        token=only(scope="node", x_nmos_node={"read": ["v9.9/x"]}),
    )
    for name, segment in (
        ("resource", "self"),
        ("one-number", "v1"),
        ("three-numbers", "v1.3.1"),
        ("upper-case", "V1.3"),
        ("suffix", "v1.3x"),
        ("prefix", "xv1.3"),
        ("letter", "v1.x"),
        ("wildcard", "v*.*"),
        ("arabic-digits", "v%D9%A1.%D9%A3"),
        ("space", "v1.3%20"),
    )
]


ROWS = [*BASES, *UNVERSIONED]


@parametrized(ROWS)
def test_base_paths(scene: Scene, row: Row) -> None:
    """Base paths may be read with a claim or a scope, and written only with a claim."""
    scene.check(row)
