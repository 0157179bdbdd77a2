"""What exactly was wrong, as the audit log says it: values that an operator can act on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import MakeSettings
from tests.contract.rows import TableMint
from tests.contract.scene import at_rest, echo_app, held

MARK = "/x-nmos/mark/v1.0/"
READ = "/x-nmos/node/v1.3/self"

Make = Callable[[TableMint], str]

# A token, the request, its reason, and what stands in the detail.
DETAILS: list[tuple[Make, str, str, str]] = [
    (lambda m: m.token(exp=m.now - 60), READ, "expired", "exp was 6"),
    (lambda m: m.token(iat=m.now + 60), READ, "issued in the future", "'iat' is "),
    (lambda m: m.token(nbf=m.now + 60), READ, "not yet valid", "and NMOS_AUTH_LEEWAY allows 1 s"),
    (lambda m: m.token(sub=None), READ, "token claims", "claim 'sub' is absent, and must be a str"),
    (lambda m: m.token(client_id=None), READ, "token claims", "claim 'client_id' is absent"),
    (lambda m: m.token(client_id=None, azp=7), READ, "token claims", "claim 'azp' is a number"),
    (lambda m: m.token(aud=7), READ, "token claims", "claim 'aud' is a number, and must be a str"),
    (lambda m: m.token(exp="soon"), READ, "token claims", "claim 'exp' is a string, and must be a"),
    (lambda m: m.token(scope=["node"]), READ, "token claims", "claim 'scope' is an array"),
    (
        lambda m: m.token(aud=["other.example.com"]),
        READ,
        "audience",
        "aud is 'other.example.com', and this server is known as 'node1.example.com', ",
    ),
    (
        lambda m: m.token(x_nmos_node={"write": ["*"]}),
        READ,
        "permission",
        "claim 'x-nmos-node' has no read, which 'self' needs",
    ),
    (
        lambda m: m.token(x_nmos_node="read"),
        READ,
        "permission",
        "claim 'x-nmos-node' is a string, and must be an object",
    ),
    (
        lambda m: m.token(x_nmos_node={"read": "self"}),
        READ,
        "permission",
        "read of claim 'x-nmos-node' is not an array of strings",
    ),
    (
        lambda m: m.token(x_nmos_node={"read": ["devices", "senders/*"]}),
        READ,
        "permission",
        "read of claim 'x-nmos-node' is 'devices', 'senders/*', and nothing there matches 'self'",
    ),
    (
        lambda m: m.token(x_nmos_node=None, x_nmos_query={"read": ["*"]}),
        READ,
        "permission",
        "read of 'self' needs claim 'x-nmos-node'; the token has ",
    ),
    (
        lambda m: m.token(x_nmos_node=None, scope="events"),
        "/x-nmos/node/v1.3/",
        "permission",
        "needs claim 'x-nmos-node' as an object, or scope 'node'; scope is 'events'",
    ),
    (lambda m: m.token(), "/x-nmos/node/latest/self", "permission", "no version such as v1.3"),
    (lambda _: "opaque", READ, "token structure", "it has 1 segments, and a signed JWT has three"),
    (lambda _: "a.b.c.d.e", READ, "token structure", "it has 5 segments"),
    (lambda _: "a" * 17_000, READ, "token structure", "it has 17000 bytes, and at most 16384"),
    (
        lambda m: m.signed(m.claims(), m.header(alg="RS256")),
        READ,
        "token header",
        "alg is 'RS256', and must be 'RS512'",
    ),
    (
        lambda m: m.signed(m.claims(), m.header(typ="logout+jwt")),
        READ,
        "token header",
        "typ is 'lo",
    ),
    (lambda m: m.signed(m.claims(), m.header(crit=["exp"])), READ, "token header", "has 'crit'"),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place for a log."""
    return tmp_path_factory.mktemp("details") / "audit.log"


@pytest.fixture(scope="module")
def lines(mint: TableMint, make_settings: MakeSettings, log: Path) -> list[dict[str, object]]:
    """Send every token once, and return what was logged."""
    with held(echo_app(make_settings(audit_log=str(log))), mint) as scene:
        at_rest(scene)
        scene.get(MARK)
        for make, path, _, _ in DETAILS:
            scene.get(path, make(mint))
    written = [json.loads(line) for line in log.read_text().splitlines()]
    return written[[line["path"] for line in written].index(MARK) + 1 :]


@pytest.mark.parametrize("number", range(len(DETAILS)))
def test_the_detail_names_the_cause(lines: list[dict[str, object]], number: int) -> None:
    """With values of the token and of this server, of which an operator sees what to change."""
    _, path, reason, detail = DETAILS[number]
    line = lines[number]
    assert (line["path"], line["reason"]) == (path, reason)
    assert detail in str(line["detail"])


def test_claims_that_can_be_read_are_told(lines: list[dict[str, object]], mint: TableMint) -> None:
    """Of tokens that are refused too, with `verified` saying whether to believe them."""
    for (_, _, reason, _), line in zip(DETAILS, lines, strict=True):
        if reason in {"audience", "permission"}:
            assert line["verified"] is True
            assert line["iss"] == mint.issuer
        else:
            assert line["verified"] is False
            assert line["iss"] == (None if reason == "token structure" else mint.issuer)
