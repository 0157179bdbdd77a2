"""Access permissions objects and path specifiers (IS-10 Access Tokens)."""

from __future__ import annotations

from tests.contract.rows import FORBIDDEN, NODE, OK, SELF, Answer, Row, only, parametrized
from tests.contract.scene import Scene
from tests.support.tokens import NULL

BELOW = "IS-10 Resource Servers, Path Validation: a claim matching the API name and the path"
TYPE = "design: a claim of the wrong JSON type never grants"
SPECIFIER = "IS-10 Access Tokens, The Access Permissions Object"
WHOLE = "design: matched whole, case-sensitively, * alone special"
SLASH = "design: matched with and without the path's trailing slash"
AFTER = "IS-10: all path specifiers MUST start after the API version and its trailing slash"
VERB = "IS-10 Access Tokens: read and write are granted each on its own"
CONNECTION = "/x-nmos/connection/v1.1/"
UUID = "ea388089-9ffb-4a81-b109-a19da845b3b6"


def _reading(name: str, source: str, *answers: Answer, path: str, specifiers: object) -> Row:
    """Return a row that reads a path of the Connection API with the given specifiers."""
    return Row(
        f"read-{name}",
        source,
        answers,
        CONNECTION + path,
        token=only(scope="connection", x_nmos_connection={"read": specifiers}),
    )


CONSTRAINTS = f"single/senders/{UUID}/constraints"

SPECIFIERS = [
    _reading("suffix", SPECIFIER, OK, path=CONSTRAINTS, specifiers=["*/constraints"]),
    _reading("middle", SPECIFIER, OK, path=CONSTRAINTS, specifiers=["single/*/constraints"]),
    _reading("several", SPECIFIER, OK, path=CONSTRAINTS, specifiers=["s*/s*/*-*/con*s"]),
    _reading(
        "within-a-segment",
        SPECIFIER,
        OK,
        path=CONSTRAINTS,
        specifiers=["single/senders/ea38*b6/constraints"],
    ),
    _reading("two-stars", SPECIFIER, OK, path=CONSTRAINTS, specifiers=["single/**/constraints"]),
    _reading("zero-characters", SPECIFIER, OK, path="single", specifiers=["*single*"]),
    _reading("star-crosses-segments", SPECIFIER, OK, path=CONSTRAINTS, specifiers=["single/*"]),
    _reading(
        "transport-file-only",
        "BCP-003-02, Transport File Authorization",
        FORBIDDEN,
        path=f"single/senders/{UUID}/staged",
        specifiers=["single/senders/*/transportfile"],
    ),
    _reading("prefix-without-star", WHOLE, FORBIDDEN, path="single/senders", specifiers=["single"]),
    _reading("prefix-of-segment", WHOLE, FORBIDDEN, path="single", specifiers=["sing"]),
    _reading(
        "suffix-without-star", WHOLE, FORBIDDEN, path="single/senders", specifiers=["senders"]
    ),
    _reading("longer", WHOLE, FORBIDDEN, path="single", specifiers=["single/senders"]),
    _reading(
        "middle-too-short",
        WHOLE,
        FORBIDDEN,
        path="single/senders",
        specifiers=["single/senders/*/constraints"],
    ),
    _reading(
        "middle-other-end",
        WHOLE,
        FORBIDDEN,
        path=CONSTRAINTS + "x",
        specifiers=["single/senders/*/constraints"],
    ),
    _reading("stars-must-not-overlap", WHOLE, FORBIDDEN, path="single", specifiers=["sing*ngle"]),
    _reading(
        "stars-in-order", WHOLE, FORBIDDEN, path="single/senders", specifiers=["*senders*single*"]
    ),
    _reading("pieces-once-each", WHOLE, FORBIDDEN, path="single", specifiers=["*gle*gle*"]),
    _reading("case-of-request", WHOLE, FORBIDDEN, path="SINGLE", specifiers=["single"]),
    _reading("case-of-uuid", WHOLE, FORBIDDEN, path=CONSTRAINTS, specifiers=[CONSTRAINTS.upper()]),
    _reading("dot-is-a-dot", WHOLE, FORBIDDEN, path="single", specifiers=["singl."]),
    _reading(
        "regex",
        WHOLE,
        FORBIDDEN,
        path="single",
        specifiers=["^single$", "s.+", "(single)", "singl[e]", "single|bulk"],
    ),
    _reading("question-mark", WHOLE, FORBIDDEN, path="single", specifiers=["singl?"]),
    _reading("braces", WHOLE, FORBIDDEN, path="single", specifiers=["{single,bulk}"]),
    _reading("backslash-star", WHOLE, FORBIDDEN, path="single", specifiers=["\\*"]),
    _reading("percent-sign", WHOLE, FORBIDDEN, path="single", specifiers=["%"]),
    _reading("spaces", WHOLE, FORBIDDEN, path="single", specifiers=["single ", " single"]),
    _reading("newline", WHOLE, FORBIDDEN, path="single", specifiers=["single\n"]),
    _reading(
        "several-in-one", WHOLE, FORBIDDEN, path="single", specifiers=["single,bulk", "single bulk"]
    ),
    _reading("with-version", AFTER, FORBIDDEN, path="single", specifiers=["v1.1/single", "v1.1/*"]),
    _reading(
        "with-root",
        AFTER,
        FORBIDDEN,
        path="single",
        specifiers=["x-nmos/connection/v1.1/*", "/x-nmos/*"],
    ),
    _reading("star-in-request", WHOLE, FORBIDDEN, path="*", specifiers=["single"]),
    _reading("star-encoded-in-request", WHOLE, FORBIDDEN, path="%2A", specifiers=["single"]),
    _reading("encoded-in-request", "design: one path", OK, path="%73ingle", specifiers=["single"]),
    _reading("encoded-space-in-request", "design: one path", OK, path="a%20b", specifiers=["a b"]),
    _reading("utf-8-in-request", "design: one path", OK, path="caf%C3%A9", specifiers=["café"]),
    _reading("slash-in-request", SLASH, OK, path="single/", specifiers=["single"]),
    _reading("slash-in-specifier", SLASH, OK, path="single", specifiers=["single/"]),
    _reading("slash-in-both", SLASH, OK, path="single/", specifiers=["single/"]),
    _reading(
        "slash-and-star-on-collection",
        "BCP-003-02: receivers/* covers /receivers",
        OK,
        path="single",
        specifiers=["single/*"],
    ),
    _reading(
        "slash-star-on-suffix", SLASH, OK, path=CONSTRAINTS + "/", specifiers=["*/constraints"]
    ),
    _reading(
        "slash-star-not-longer-name", WHOLE, FORBIDDEN, path="singles", specifiers=["single/*"]
    ),
    _reading(
        "hostile-pattern",
        "design: in linear time",
        FORBIDDEN,
        path="a" * 1000,
        specifiers=["a*" * 500 + "b"],
    ),
    _reading(
        "hostile-patterns",
        "design: in linear time",
        FORBIDDEN,
        path="ab" * 500,
        specifiers=["*a*b*c"] * 400,
    ),
    _reading("string", TYPE, FORBIDDEN, path="single", specifiers="*"),
    _reading("object", TYPE, FORBIDDEN, path="single", specifiers={"*": True}),
    _reading("true", TYPE, FORBIDDEN, path="single", specifiers=True),
    _reading("null", TYPE, FORBIDDEN, path="single", specifiers=None),
    _reading("number", TYPE, FORBIDDEN, path="single", specifiers=1),
    _reading("array-of-arrays", TYPE, FORBIDDEN, path="single", specifiers=[["*"]]),
    _reading("array-of-objects", TYPE, FORBIDDEN, path="single", specifiers=[{"path": "*"}]),
    _reading("array-of-true", TYPE, FORBIDDEN, path="single", specifiers=[True]),
    _reading("array-of-null", TYPE, FORBIDDEN, path="single", specifiers=[None]),
]


def _with_claims(
    name: str,
    source: str,
    answer: Answer,
    *more: Answer,
    method: str = "GET",
    target: str = SELF,
    **claims: object,
) -> Row:
    return Row(name, source, (answer, *more), target, method=method, token=only(**claims))


OBJECTS = [
    _with_claims("claim-without-scope", BELOW, OK, x_nmos_node={"read": ["*"]}),
    _with_claims(
        "claim-of-other-api", BELOW, FORBIDDEN, scope="node", x_nmos_query={"read": ["*"]}
    ),
    _with_claims("claim-of-longer-name", BELOW, FORBIDDEN, x_nmos_nodes={"read": ["*"]}),
    Row(
        "claim-in-other-case",
        BELOW,
        (FORBIDDEN,),
        token=only(**{"x-nmos-Node": {"read": ["*"]}}),
    ),
    _with_claims("claim-without-prefix", BELOW, FORBIDDEN, node={"read": ["*"]}),
    _with_claims(
        "claim-array-of-object", TYPE, FORBIDDEN, scope="node", x_nmos_node=[{"read": ["*"]}]
    ),
    _with_claims("claim-null", TYPE, FORBIDDEN, scope="node", x_nmos_node=NULL),
    _with_claims("claims-nested", BELOW, FORBIDDEN, claims={"x-nmos-node": {"read": ["*"]}}),
    _with_claims("read-is-not-write", VERB, FORBIDDEN, method="PATCH", x_nmos_node={"read": ["*"]}),
    _with_claims(
        "bad-read-spoils-no-write",
        TYPE,
        OK,
        method="PATCH",
        x_nmos_node={"read": 1, "write": ["*"]},
    ),
    _with_claims("entry-of-other-type-behind", TYPE, FORBIDDEN, x_nmos_node={"read": ["*", None]}),
    _with_claims(
        "entry-of-other-type-spoils-no-write",
        TYPE,
        OK,
        method="PATCH",
        x_nmos_node={"read": ["self", {}], "write": ["self"]},
    ),
    _with_claims("bad-write-spoils-no-read", TYPE, OK, x_nmos_node={"read": ["*"], "write": "*"}),
    _with_claims(
        "write-string", TYPE, FORBIDDEN, method="PUT", x_nmos_node={"read": ["*"], "write": "*"}
    ),
    _with_claims(
        "write-elsewhere",
        VERB,
        FORBIDDEN,
        method="PATCH",
        x_nmos_node={"read": ["*"], "write": ["devices/*"]},
    ),
    _with_claims(
        "write-here", VERB, OK, method="PATCH", x_nmos_node={"read": ["*"], "write": ["self"]}
    ),
    _with_claims(
        "every-version",
        "IS-10: path specifiers start after the API version",
        OK,
        target="/x-nmos/node/v1.0/self",
        x_nmos_node={"read": ["self"]},
    ),
    _with_claims(
        "version-as-rest",
        AFTER,
        FORBIDDEN,
        target=NODE + "v1.3/self",
        x_nmos_node={"read": ["self"]},
    ),
]


ROWS = [*SPECIFIERS, *OBJECTS]


@parametrized(ROWS)
def test_permissions(scene: Scene, row: Row) -> None:
    """A token permits what its claims say, and nothing by accident."""
    scene.check(row)
