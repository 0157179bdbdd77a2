"""What the token endpoint refuses, how it says so, and what it tells the log."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest

from tests.authority.support import (
    CONTROLLER,
    CONTROLLER_SECRET,
    NODE,
    NODE_SECRET,
    Served,
    form_quote,
)

FORM = "application/x-www-form-urlencoded"
CREDENTIALS = f"{form_quote(CONTROLLER.client_id)}:{form_quote(CONTROLLER_SECRET)}"


def basic(credentials: str | bytes) -> str:
    """Return an Authorization header with these credentials."""
    octets = credentials.encode() if isinstance(credentials, str) else credentials
    return "Basic " + base64.b64encode(octets).decode()


@dataclass(frozen=True)
class Case:
    """A request and the error it meets."""

    name: str
    error: str
    body: bytes | str = "grant_type=client_credentials&scope=node"
    authorization: tuple[str, ...] = (basic(CREDENTIALS),)
    content_type: str | None = FORM
    query: str = ""
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, server: Served) -> httpx2.Response:
        """Send it."""
        headers = [("Authorization", value) for value in self.authorization]
        if self.content_type is not None:
            headers.append(("Content-Type", self.content_type))
        return server.http.post(
            server.authority.settings.url("/token") + self.query, content=self.body, headers=headers
        )


GRANT = "grant_type=client_credentials"

CASES = [
    Case("no body", "invalid_request", body=""),
    Case("no grant type", "invalid_request", body="scope=node"),
    Case("grant type without a value", "invalid_request", body="grant_type=&scope=node"),
    Case("grant type twice", "invalid_request", body=f"{GRANT}&{GRANT}"),
    Case("scope twice", "invalid_request", body=f"{GRANT}&scope=node&scope=node"),
    Case("scope twice, once empty", "invalid_request", body=f"{GRANT}&scope=node&scope="),
    Case("unknown parameter twice", "invalid_request", body=f"{GRANT}&x=1&x=2"),
    Case("parameter without equals sign", "invalid_request", body=f"{GRANT}&scope"),
    Case("not UTF-8", "invalid_request", body=f"{GRANT}&scope=%ff"),
    Case("octets beyond ASCII", "invalid_request", body=f"{GRANT}&scope=\u00e9"),
    Case("many parameters", "invalid_request", body=GRANT + "".join(f"&p{n}" for n in range(99))),
    Case("no content type", "invalid_request", content_type=None),
    Case("JSON", "invalid_request", body='{"grant_type": "x"}', content_type="application/json"),
    Case("multipart", "invalid_request", content_type="multipart/form-data; boundary=x"),
    Case("parameters in the URL", "invalid_request", query=f"?{GRANT}"),
    Case("huge body", "invalid_request", body=f"{GRANT}&x=" + "x" * 100_000, status=413),
    Case("authorization twice", "invalid_request", authorization=(basic(CREDENTIALS),) * 2),
    Case(
        "two authentication methods",
        "invalid_request",
        body=f"{GRANT}&client_id={form_quote(CONTROLLER.client_id)}"
        f"&client_secret={form_quote(CONTROLLER_SECRET)}",
    ),
    Case(
        "another client's id in the body",
        "invalid_request",
        body=f"{GRANT}&client_id={NODE.client_id}",
    ),
    Case("password grant", "unsupported_grant_type", body="grant_type=password&username=a"),
    Case(
        "grant type in other case", "unsupported_grant_type", body="grant_type=Client_Credentials"
    ),
    Case("grant type with markup", "unsupported_grant_type", body="grant_type=%22%5C%0d%0ax"),
    Case("scope not the client's", "invalid_scope", body=f"{GRANT}&scope=registration"),
    Case("one scope too many", "invalid_scope", body=f"{GRANT}&scope=node+registration"),
    Case("scope in other case", "invalid_scope", body=f"{GRANT}&scope=Node"),
    Case("scope not for this grant", "invalid_scope", body=f"{GRANT}&scope=events"),
    Case("scope with two spaces", "invalid_scope", body=f"{GRANT}&scope=node++query"),
    Case("scope with a quote", "invalid_scope", body=f"{GRANT}&scope=%22node%22"),
    Case("scope with a line break", "invalid_scope", body=f"{GRANT}&scope=node%0a"),
    Case(
        "no scope and no default",
        "invalid_scope",
        body=GRANT,
        authorization=(basic(f"{NODE.client_id}:{NODE_SECRET}"),),
    ),
    Case(
        "scope of the client closed to the grant",
        "invalid_scope",
        body=f"{GRANT}&scope=query",
        authorization=(basic(f"{NODE.client_id}:{NODE_SECRET}"),),
    ),
    Case("no authentication", "invalid_client", authorization=(), status=401),
    Case(
        "wrong secret",
        "invalid_client",
        authorization=(basic(f"{NODE.client_id}:{NODE_SECRET}x"),),
        status=401,
    ),
    Case(
        "empty secret",
        "invalid_client",
        authorization=(basic(f"{NODE.client_id}:"),),
        status=401,
    ),
    Case(
        "unknown client",
        "invalid_client",
        authorization=(basic(f"nobody-0123456789-0123456789:{NODE_SECRET}"),),
        status=401,
    ),
    Case(
        "another client's secret",
        "invalid_client",
        authorization=(basic(f"{form_quote(CONTROLLER.client_id)}:{NODE_SECRET}"),),
        status=401,
    ),
    Case("no colon", "invalid_client", authorization=(basic("nobody"),), status=401),
    Case("no base64", "invalid_client", authorization=("Basic %%%%",), status=401),
    Case("no credentials", "invalid_client", authorization=("Basic",), status=401),
    Case("not UTF-8 either", "invalid_client", authorization=(basic(b"\xff:\xff"),), status=401),
    Case("a surrogate", "invalid_client", authorization=(basic("a%ED%A0%80:b"),), status=401),
    Case("bearer", "invalid_client", authorization=("Bearer abc",), status=401),
    Case(
        "client_secret_post",
        "invalid_client",
        body=f"{GRANT}&scope=registration&client_id={NODE.client_id}&client_secret={NODE_SECRET}",
        authorization=(),
        status=401,
    ),
    Case(
        "public client",
        "invalid_client",
        body=f"{GRANT}&scope=registration&client_id={NODE.client_id}",
        authorization=(),
        status=401,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_request_meets_its_error(server: Served, case: Case) -> None:
    """RFC 6749 Section 5.2: code, description in its characters, no caching, and a challenge."""
    response = case.send(server)
    answer = response.json()
    assert (response.status_code, answer["error"]) == (case.status, case.error)
    assert set(answer) == {"error", "error_description"}
    description = answer["error_description"]
    assert description.isascii()
    assert description.isprintable()
    assert not set(description) & set('"\\')
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    challenge = response.headers.get("www-authenticate")
    assert challenge == ('Basic realm="nmos-auth", charset="UTF-8"' if case.status == 401 else None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_only_post_gets_a_token(server: Served, method: str) -> None:
    """RFC 6749 Section 3.2: "The client MUST use the HTTP "POST" method"."""
    response = server.http.request(method, "/token", auth=server.basic())
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_a_body_without_length_is_cut_off(server: Served) -> None:
    """A chunked body is refused as soon as it is too long."""

    def endless() -> Iterator[bytes]:
        yield b"grant_type=client_credentials&scope="
        for _ in range(64):
            yield b"x" * 1024

    response = server.http.post(
        "/token", content=endless(), headers={"Content-Type": FORM}, auth=server.basic()
    )
    assert response.status_code == 413
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    "content_type", [f"{FORM};charset=UTF-8", FORM.title(), f"{FORM} ; charset=utf-8"]
)
def test_a_form_may_name_its_charset(server: Served, content_type: str) -> None:
    """Media types ignore case and may have parameters."""
    case = Case("good", "", content_type=content_type)
    assert case.send(server).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        f"{GRANT}&scope=node&client_id={form_quote(CONTROLLER.client_id)}",
        f"{GRANT}&scope=node&client_secret=&client_id=",
        f"{GRANT}&scope=node&unknown=parameter",
    ],
)
def test_harmless_parameters_are_ignored(server: Served, body: str) -> None:
    """RFC 6749 Section 3.2 ignores unknown parameters and those without a value."""
    assert Case("good", "", body=body).send(server).status_code == 200


def test_the_scheme_ignores_case(server: Served) -> None:
    """RFC 9110 Section 11.1: the scheme is case-insensitive."""
    header = basic(CREDENTIALS).replace("Basic", "bASIC")
    assert Case("good", "", authorization=(header,)).send(server).status_code == 200


def test_no_failure_tells_whether_a_client_exists(server: Served) -> None:
    """An unknown client and a wrong secret get the very same answer."""
    unknown, wrong = (
        Case("", "", authorization=(basic(credentials),)).send(server)
        for credentials in (f"nobody-0123456789-0123456789:{NODE_SECRET}", f"{NODE.client_id}:no")
    )
    assert unknown.content == wrong.content
    assert unknown.headers["www-authenticate"] == wrong.headers["www-authenticate"]


def test_every_answer_is_logged_and_no_secret_is(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for each token issued or refused; no secret or token, at any level, anywhere."""
    with caplog.at_level(logging.DEBUG):
        token = server.token("registration", NODE)
        answers = [case.send(server).text for case in CASES]
    own = [record for record in caplog.records if record.name == "nmos_auth.authority"]
    assert len(own) == 1 + len(CASES)
    secrets = [CONTROLLER_SECRET, form_quote(CONTROLLER_SECRET), NODE_SECRET]
    secrets += [token, token.rpartition(".")[2], basic(CREDENTIALS)[6:]]
    servers = ("nmos_auth", "authlib", "joserfc", "starlette", "uvicorn")
    logged = [record.getMessage() for record in caplog.records if record.name.startswith(servers)]
    assert any(message.startswith("Issue token") for message in logged)
    for text in [*logged, *answers]:
        assert not [secret for secret in secrets if secret in text]
        assert "\n" not in text


def test_the_log_says_who_got_what(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """An issued token is found again by its id, client, user, scope and key."""
    with caplog.at_level(logging.INFO, "nmos_auth.authority"):
        claims = server.verified(server.token("registration", NODE))
    [record] = [r for r in caplog.records if r.name == "nmos_auth.authority"]
    message = record.getMessage()
    assert message.startswith("token issued: grant=client_credentials ")
    assert f"client_id='{NODE.client_id}'" in message
    assert f"sub='{NODE.client_id}'" in message
    assert f"jti={claims['jti']}" in message
    assert f"kid={server.authority.keys.current.kid}" in message
    assert "scope='registration'" in message
    assert "peer=127.0.0.1" in message


@pytest.mark.parametrize(
    ("credentials", "client_id"),
    [
        (f"{NODE.client_id}:wrong", repr(NODE.client_id)),
        ("nobody-0123456789-0123456789:wrong", "None"),
    ],
)
def test_the_log_says_who_was_refused(
    server: Served, caplog: pytest.LogCaptureFixture, credentials: str, client_id: str
) -> None:
    """A known client is named; what an unknown one called itself is not repeated."""
    with caplog.at_level(logging.INFO, "nmos_auth.authority"):
        Case("", "", authorization=(basic(credentials),)).send(server)
    [record] = [r for r in caplog.records if r.name == "nmos_auth.authority"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "token refused: error=invalid_client description='Client authentication failed' "
        f"client_id={client_id} peer=127.0.0.1"
    )
