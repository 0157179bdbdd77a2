"""The Authorization Code grant with PKCE (RFC 6749 Section 4.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.authority.flows import (
    CALLBACK,
    LOOPBACK,
    Browser,
    Pkce,
    Registered,
    answer,
    browsing,
    register,
)
from tests.authority.support import USER, Served, served
from tests.support.clocks import Clock


@pytest.fixture
def browser(server: Served) -> Iterator[Browser]:
    """Open a browser nobody has logged in with."""
    with browsing(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def public(server: Served) -> Registered:
    """Register a public client."""
    return register(server, token_endpoint_auth_method="none")


@pytest.fixture(scope="module")
def confidential(server: Served) -> Registered:
    """Register a client with a secret."""
    return register(server)


def test_a_public_client_gets_tokens_with_pkce(
    server: Served, public: Registered, browser: Browser
) -> None:
    """The answer has code, state and issuer; the token is the user's, within the client's scope."""
    pkce = Pkce()
    answered = browser.authorize(public.request(**pkce.query))
    code = answered.pop("code")
    assert answered == {"state": "a state & more", "iss": server.issuer}
    response = public.exchange(code, pkce.verifier)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    tokens = response.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "connection")
    assert len(tokens["refresh_token"]) >= 40
    claims = server.verified(tokens["access_token"])
    assert (claims["sub"], claims["client_id"]) == (USER.name, public.client_id)
    assert claims["x-nmos-connection"] == {"read": ["*"], "write": ["single/*", "bulk/*"]}
    assert claims["aud"] == ["*"]


@pytest.mark.parametrize("method", ["plain", None])
def test_plain_challenges_work(public: Registered, browser: Browser, method: str | None) -> None:
    """IS-10: servers support "S256" and "plain"; RFC 7636 has plain where no method is named."""
    verifier = "v" * 43
    request = public.request(code_challenge=verifier, code_challenge_method=method)
    assert public.exchange(browser.code(request), verifier).status_code == 200


def test_a_confidential_client_may_do_without_pkce(
    confidential: Registered, browser: Browser
) -> None:
    """Its secret protects the code; a verifier without a challenge is refused (RFC 9700 2.1.1)."""
    code = browser.code(confidential.request())
    assert confidential.exchange(code).status_code == 200
    code = browser.code(confidential.request())
    response = confidential.exchange(code, "v" * 43)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("query", "description"),
    [
        ({}, "public client"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "code_challenge"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "S512"}, "code_challenge_method"),
        ({"code_challenge_method": "S256"}, "public client"),
    ],
)
def test_a_public_client_has_no_request_without_a_good_challenge(
    public: Registered, browser: Browser, query: dict[str, str], description: str
) -> None:
    """The client learns it at once, by a redirect, before anybody logs in."""
    answered = answer(browser.open(public.request(**query)))
    assert answered["error"] == "invalid_request"
    assert description in answered["error_description"]
    assert answered["state"] == "a state & more"


@pytest.mark.parametrize("verifier", [None, "w" * 43, "short", "S256"])
def test_only_the_verifier_gets_the_tokens(
    public: Registered, browser: Browser, verifier: str | None
) -> None:
    """Without it, with another or with the challenge itself there is none, and no second guess."""
    pkce = Pkce()
    code = browser.code(public.request(**pkce.query))
    wrong = pkce.challenge if verifier == "S256" else verifier
    response = public.exchange(code, wrong)
    assert response.status_code == 400
    assert response.json()["error"] in {"invalid_grant", "invalid_request"}
    assert public.exchange(code, pkce.verifier).json()["error"] == "invalid_grant"


def test_a_code_used_twice_revokes_what_it_gave(
    confidential: Registered, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6749 Section 4.1.2: the second use is denied, and the refresh token of the first dies."""
    code = browser.code(confidential.request())
    tokens = confidential.exchange(code).json()
    with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
        assert confidential.exchange(code).json()["error"] == "invalid_grant"
    assert "a code was used twice" in caplog.text
    assert code not in caplog.text
    assert confidential.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_of_many_at_once_one_gets_the_tokens(confidential: Registered, browser: Browser) -> None:
    """A code serves one of several requests that come at the same time."""
    code = browser.code(confidential.request())
    statuses: list[int] = []

    def exchange() -> None:
        statuses.append(confidential.exchange(code).status_code)

    threads = [threading.Thread(target=exchange) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 400, 400, 400, 400]


def test_a_code_is_the_clients_that_asked(
    server: Served, confidential: Registered, browser: Browser
) -> None:
    """Another client's request is refused, and takes nothing from the one it was issued to."""
    code = browser.code(confidential.request())
    other = register(server)
    assert other.exchange(code).json()["error"] == "invalid_grant"
    assert confidential.exchange(code).status_code == 200


@pytest.mark.parametrize("redirect_uri", [None, CALLBACK + "/", "https://evil.example.com/"])
def test_the_token_request_repeats_the_redirect_uri(
    confidential: Registered, browser: Browser, redirect_uri: str | None
) -> None:
    """RFC 6749 Section 4.1.3: "their values MUST be identical"."""
    code = browser.code(confidential.request())
    response = confidential.exchange(code, redirect_uri=redirect_uri)
    assert response.json()["error"] == "invalid_grant"


def test_the_only_redirect_uri_needs_no_mention(confidential: Registered, browser: Browser) -> None:
    """RFC 6749 Section 3.1.2.3: with one registered, neither request has to name it."""
    code = browser.code(confidential.request(redirect_uri=None))
    assert confidential.exchange(code, redirect_uri=None).status_code == 200


@pytest.mark.parametrize(
    ("redirect_uri", "status"), [(CALLBACK, 200), ("https://evil.example.com/", 400)]
)
def test_a_late_redirect_uri_is_that_of_the_code(
    confidential: Registered, browser: Browser, redirect_uri: str, status: int
) -> None:
    """If only the token request names one, it is the one that the code went to."""
    code = browser.code(confidential.request(redirect_uri=None))
    assert confidential.exchange(code, redirect_uri=redirect_uri).status_code == status


def test_codes_are_short_lived() -> None:
    """A minute later a code is worth nothing."""
    clock = Clock()
    with served(clock=clock) as server, browsing(server) as browser:
        client = register(server)
        code = browser.code(client.request())
        clock.now += 61
        assert client.exchange(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://controller.example.com/callback/",
        "https://controller.example.com/callback?x=1",
        "https://controller.example.com/Callback",
        "https://CONTROLLER.example.com/callback",
        "https://controller.example.com:443/callback",
        "https://controller.example.com/callback#",
        "https://controller.example.com/callback/../callback",
        "https://controller.example.com/callbac%6b",
        "https://controller.example.com@evil.example.com/callback",
        "https://controller.example.com.evil.example.com/callback",
        "https://controller.example.com\\@evil.example.com/callback",
        "https://evil.example.com/callback",
        "http://controller.example.com/callback",
        "//controller.example.com/callback",
        "javascript:alert(1)",
        'https://controller.example.com/callback"',
        "https://controller.example.com/callback\r\nX: y",
    ],
)
def test_no_other_redirect_uri_is_answered(
    confidential: Registered, public: Registered, browser: Browser, redirect_uri: str
) -> None:
    """A URI that is not the registered one, octet by octet, gets a page and no redirect."""
    for client in (confidential, public):
        response = browser.open(client.request(redirect_uri=redirect_uri))
        assert response.status_code == 400
        assert "location" not in response.headers
        assert "not one that the client registered" in response.text


def test_a_native_client_may_use_any_loopback_port(server: Served, browser: Browser) -> None:
    """RFC 8252 Section 7.3; host, path and scheme stay exact."""
    client = register(server, token_endpoint_auth_method="none", redirect_uris=[LOOPBACK])
    pkce = Pkce()
    uri = "http://127.0.0.1:61234/callback"
    page = browser.log_in(browser.open(client.request(redirect_uri=uri, **pkce.query)))
    code = answer(browser.submit(page, "approve"), uri)["code"]
    assert client.exchange(code, pkce.verifier, LOOPBACK).json()["error"] == "invalid_grant"
    code = answer(browser.submit(page, "approve"), uri)["code"]
    assert client.exchange(code, pkce.verifier, uri).status_code == 200
    for other in (
        "http://127.0.0.1:61234/other",
        "http://127.0.0.2:8400/callback",
        "http://localhost:8400/callback",
        "https://127.0.0.1:8400/callback",
        "http://127.0.0.1:8400@evil.example.com/callback",
        "http://127.0.0.1:8400.evil.example.com/callback",
    ):
        assert browser.open(client.request(redirect_uri=other)).status_code == 400
    # Section 8.4: a native client that registered by itself is confidential.
    confidential = register(server, redirect_uris=[LOOPBACK])
    code = answer(
        browser.submit(browser.open(confidential.request(redirect_uri=uri)), "approve"), uri
    )["code"]
    assert confidential.exchange(code, redirect_uri=uri).status_code == 200


def test_a_redirect_uri_keeps_its_query(server: Served, browser: Browser) -> None:
    """RFC 6749 Section 3.1.2: the query "MUST be retained"."""
    uri = f"{CALLBACK}?tenant=a%20b&x"
    client = register(server, redirect_uris=[uri])
    page = browser.log_in(browser.open(client.request(redirect_uri=uri)))
    location = browser.submit(page, "approve").headers["location"]
    assert location.startswith(f"{uri}&code=")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"request_uri": "https://controller.example.com/request"}, "request_uri_not_supported"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": '"><script>'}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "registration"}, "invalid_scope"),
        ({"scope": 'connection "x"'}, "invalid_scope"),
    ],
)
def test_other_errors_go_to_the_client(
    server: Served,
    confidential: Registered,
    browser: Browser,
    changes: dict[str, str | None],
    error: str,
) -> None:
    """RFC 6749 Section 4.1.2.1, with state and, by RFC 9207, with the issuer."""
    answered = answer(browser.open(confidential.request(**changes)))
    assert answered["error"] == error
    assert (answered["state"], answered["iss"]) == ("a state & more", server.issuer)
    assert "code" not in answered
    assert "script" not in answered.get("error_description", "")


def test_parameters_come_once(confidential: Registered, browser: Browser) -> None:
    """RFC 6749 Section 3.1; where client or redirect URI are in doubt the user alone learns it."""
    for repeated, status in (("scope", 302), ("state", 302), ("client_id", 400)):
        pairs = urlencode([*confidential.request().items(), (repeated, "connection")])
        response = browser.http.get("/authorize", params=pairs)
        assert response.status_code == status, repeated
    assert browser.http.get("/authorize?client_id").status_code == 400
    assert browser.http.get("/authorize").status_code == 400


def test_an_unknown_client_is_told_to_the_user_alone(browser: Browser) -> None:
    """Nothing of such a request is followed or repeated."""
    response = browser.open({"client_id": "<script>", "redirect_uri": CALLBACK})
    assert response.status_code == 400
    assert "not known here" in response.text
    assert "<script>" not in response.text


def test_a_public_client_has_no_other_way(public: Registered, browser: Browser) -> None:
    """IS-10: a public client cannot authenticate with credentials, and it has one grant."""
    pkce = Pkce()
    code = browser.code(public.request(**pkce.query))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": pkce.verifier,
        "redirect_uri": CALLBACK,
    }
    http = public.server.http
    for secret in ("", "secret"):
        response = http.post("/token", data=form, auth=(public.client_id, secret))
        assert response.json()["error"] == "invalid_client"
    with_secret = {**form, "client_id": public.client_id, "client_secret": "secret"}
    assert http.post("/token", data=with_secret).json()["error"] == "invalid_client"
    machine = public.post("/token", grant_type="client_credentials", scope="connection")
    assert machine.json()["error"] == "unauthorized_client"
    assert public.exchange(code, pkce.verifier).status_code == 200


def test_a_confidential_client_has_to_authenticate(
    confidential: Registered, browser: Browser
) -> None:
    """Its id alone gets nothing for its code."""
    code = browser.code(confidential.request())
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    response = confidential.server.http.post(
        "/token", data={**form, "client_id": confidential.client_id}
    )
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


def test_the_code_is_needed(confidential: Registered) -> None:
    """RFC 6749 Section 4.1.3: no code, or one that never was."""
    missing = confidential.post("/token", grant_type="authorization_code")
    assert missing.json()["error"] == "invalid_request"
    assert confidential.exchange("never-issued").json()["error"] == "invalid_grant"


def test_it_is_logged_who_authorized_what(
    confidential: Registered, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """IS-10 "Audit Requirements": the user, the client, the scope; no code, no token, no secret."""
    with caplog.at_level(logging.DEBUG):
        code = browser.code(confidential.request())
        tokens = confidential.exchange(code).json()
        renewed = confidential.refresh(tokens["refresh_token"]).json()
    own = [r.getMessage() for r in caplog.records if r.name == "nmos_auth.authority"]
    who = f"user={USER.name!r} client_id={confidential.client_id!r} scope='connection'"
    assert any(line.startswith(f"authorization granted: {who}") for line in own)
    assert any("token issued: grant=authorization_code" in line for line in own)
    assert any("token issued: grant=refresh_token" in line for line in own)
    assert all(f"sub={USER.name!r}" in line for line in own if "token issued" in line)
    servers = ("nmos_auth", "authlib", "joserfc", "starlette", "uvicorn")
    logged = [r.getMessage() for r in caplog.records if r.name.startswith(servers)]
    values = [code, *tokens.values(), *renewed.values(), confidential.document["client_secret"]]
    hidden = [value for value in values if isinstance(value, str) and len(value) > 20]
    assert len(hidden) == 6
    assert not [line for line in logged for value in hidden if value in line]
