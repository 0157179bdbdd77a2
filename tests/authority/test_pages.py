"""The login and consent pages: sessions, CSRF, escaping and headers."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import httpx2
import pytest

from nmos_auth.authority.errors import PasswordGuessing
from nmos_auth.authority.guessing import GuessLimit
from tests.authority.flows import Browser, Registered, answer, browsing, csrf, form_action, register
from tests.authority.support import PASSWORD, USER, Served, served
from tests.support.clocks import Clock
from tests.support.tls import TestAuthority

MARKUP = "<img src=x onerror=alert(1)> & \"quotes\" 'too'"


@pytest.fixture
def browser(server: Served) -> Iterator[Browser]:
    """Open a browser nobody has logged in with."""
    with browsing(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(server: Served) -> Registered:
    """Register a client."""
    return register(server)


def test_login_then_consent_then_answer(client: Registered, browser: Browser) -> None:
    """Each page says what it asks for: the client, the APIs, who one is, where the answer goes."""
    page = browser.open(client.request(scope="connection query"))
    assert "<h1>Log in</h1>" in page.text
    page = browser.log_in(page)
    assert "<h1>Authorize a client</h1>" in page.text
    for text in ("Controller &lt;1&gt;", USER.name, "controller.example.com", "single/*"):
        assert text in page.text
    assert "it was not checked" in page.text
    assert "code" in answer(browser.submit(page, "approve"))


def test_a_session_logs_in_once(client: Registered, browser: Browser) -> None:
    """The next request is asked for consent alone, and always is."""
    browser.authorize(client.request())
    assert "<h1>Authorize a client</h1>" in browser.open(client.request()).text


def test_a_refusal_reaches_the_client(
    server: Served, client: Registered, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 6749 Section 4.1.2.1 `access_denied`, with state and issuer, and in the log."""
    page = browser.log_in(browser.open(client.request()))
    with caplog.at_level(logging.INFO, "nmos_auth.authority"):
        answered = answer(browser.submit(page, "deny"))
    assert answered["error"] == "access_denied"
    assert (answered["state"], answered["iss"]) == ("a state & more", server.issuer)
    assert f"authorization refused: user={USER.name!r}" in caplog.text


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (USER.name, "wrong"),
        (USER.name, ""),
        ("nobody", PASSWORD),
        ("", ""),
        (USER.name, "\U0001f511" * 100),
        (MARKUP, MARKUP),
    ],
)
def test_a_wrong_password_gets_nowhere(
    client: Registered,
    browser: Browser,
    caplog: pytest.LogCaptureFixture,
    name: str,
    password: str,
) -> None:
    """The page says so, the log has neither name nor password, and no session is logged in."""
    page = browser.open(client.request())
    with caplog.at_level(logging.INFO, "nmos_auth.authority"):
        failed = browser.submit(page, "login", username=name, password=password)
    assert failed.status_code == 200
    assert "Name or password is wrong." in failed.text
    assert MARKUP not in failed.text
    [record] = [r for r in caplog.records if r.name == "nmos_auth.authority"]
    assert record.getMessage() == "login refused: peer=127.0.0.1"
    assert browser.submit(failed, "approve").status_code == 400
    assert "<h1>Log in</h1>" in browser.open(client.request()).text


def test_passwords_are_not_guessed_without_end() -> None:
    """Ten wrong ones from one address, then one in ten seconds, of whatever name; the page says so.

    The right one is not looked at before its time either, or guessing would go on.
    """
    clock, steady = Clock(), Clock()
    with (
        served(clock=clock, monotonic=steady) as server,
        browsing(server) as browser,
    ):
        page = browser.open(register(server).request())
        for number in range(10):
            failed = browser.submit(page, "login", username=f"user {number}", password="wrong")
            assert failed.status_code == 200
        refused = browser.log_in(page)
        assert refused.status_code == 429
        assert "Too many wrong passwords." in refused.text
        # Nobody waits longer because the computer's clock was set back.
        clock.now -= 365 * 86400
        steady.now += int(refused.headers["retry-after"])
        assert "<h1>Authorize a client</h1>" in browser.log_in(page).text


def test_no_address_locks_a_user_out() -> None:
    """A name has a larger allowance than an address."""
    clock = Clock(0.0)
    limit = GuessLimit(clock)
    for _ in range(10):
        limit.check("operator", "203.0.113.7")
        limit.count_failure("operator", "203.0.113.7")
    with pytest.raises(PasswordGuessing):
        limit.check("operator", "203.0.113.7")
    limit.check("operator", "203.0.113.8")
    for number in range(10):
        limit.count_failure("operator", f"203.0.113.{number + 10}")
    with pytest.raises(PasswordGuessing) as caught:
        limit.check("operator", "203.0.113.8")
    clock.now += caught.value.retry_after
    limit.check("operator", "203.0.113.8")


def test_head_makes_no_session(client: Registered, browser: Browser) -> None:
    """A link checker leaves nothing behind."""
    response = browser.http.head("/authorize", params=client.request())
    assert response.status_code == 200
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("token", [None, "", "wrong", "another's", "\u00e9"])
@pytest.mark.parametrize("action", ["login", "approve", "deny", "logout"])
def test_forms_of_others_are_refused(
    server: Served, client: Registered, browser: Browser, token: str | None, action: str
) -> None:
    """A form without this session's token does nothing, whatever cookies come with it."""
    page = browser.log_in(browser.open(client.request()))
    with browsing(server) as attacker:
        other = csrf(attacker.open(client.request()))
    fields = {"action": action, "username": USER.name, "password": PASSWORD}
    if token is not None:
        fields["csrf"] = other if token == "another's" else token
    response = browser.http.post(form_action(page), data=fields)
    assert response.status_code == 403
    assert "location" not in response.headers
    assert "<h1>Authorize a client</h1>" in browser.open(client.request()).text


def test_a_form_needs_its_cookie(client: Registered, browser: Browser) -> None:
    """The token of a page is worth nothing in another browser."""
    page = browser.log_in(browser.open(client.request()))
    fields = {"csrf": csrf(page), "action": "approve"}
    response = httpx2.post(
        f"{client.server.issuer}{form_action(page)}", data=fields, trust_env=False
    )
    assert response.status_code == 403


def test_a_login_begins_another_session(client: Registered, browser: Browser) -> None:
    """Whoever planted the cookie before the login has nothing from it after."""
    page = browser.open(client.request())
    planted = dict(browser.http.cookies)
    browser.log_in(page)
    assert dict(browser.http.cookies) != planted
    form = {"csrf": csrf(page), "action": "approve"}
    forged = httpx2.post(
        f"{client.server.issuer}{form_action(page)}", data=form, cookies=planted, trust_env=False
    )
    assert forged.status_code == 403
    response = httpx2.get(
        f"{client.server.issuer}/authorize",
        params=client.request(),
        cookies=planted,
        trust_env=False,
    )
    assert "<h1>Log in</h1>" in response.text


def test_one_may_log_in_as_somebody_else(client: Registered, browser: Browser) -> None:
    """The session ends at once, here as well as in the browser."""
    page = browser.log_in(browser.open(client.request()))
    former = dict(browser.http.cookies)
    assert "<h1>Log in</h1>" in browser.submit(page, "logout").text
    response = httpx2.get(
        f"{client.server.issuer}/authorize",
        params=client.request(),
        cookies=former,
        trust_env=False,
    )
    assert "<h1>Log in</h1>" in response.text


def test_sessions_end() -> None:
    """After a working day one logs in again."""
    clock = Clock()
    with served(clock=clock) as server, browsing(server) as browser:
        client = register(server)
        browser.log_in(browser.open(client.request()))
        clock.now += 8 * 3600 + 1
        assert "<h1>Log in</h1>" in browser.open(client.request()).text


def test_pages_cannot_be_framed_scripted_or_kept(client: Registered, browser: Browser) -> None:
    """The headers of every page, and no script, style or handler but the one style there is."""
    login = browser.open(client.request())
    pages = [login, browser.log_in(login), browser.open({"client_id": "x"})]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "access-control-allow-origin" not in page.headers
        assert "<script" not in page.text
        assert " style=" not in page.text


def test_what_clients_say_is_escaped(server: Served, browser: Browser) -> None:
    """Markup in name, state and scope stays text."""
    client = register(server, client_name=MARKUP)
    page = browser.open(client.request(state=MARKUP))
    page = browser.log_in(page)
    assert "&lt;img src=x" in page.text
    assert not re.search(r"<img|onerror=alert\(1\)>", page.text)
    assert answer(browser.submit(page, "approve"))["state"] == MARKUP


def test_the_cookie_is_for_the_server_alone(client: Registered, browser: Browser) -> None:
    """HttpOnly and SameSite; a name of the issuer's own, since cookies know no ports."""
    cookie = browser.open(client.request()).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    with served() as other, browsing(other) as another:
        theirs = another.open(register(other).request()).headers["set-cookie"]
    assert theirs.partition("=")[0] != cookie.partition("=")[0]


def test_over_tls_the_cookie_is_secure(tls: TestAuthority) -> None:
    """`__Host-` and Secure, and the flow works under a path."""
    with served(tls=tls, path="/x-nmos/auth/v1.0") as server:
        url = server.authority.settings.url
        document = {
            "client_name": "c",
            "scope": "node",
            "redirect_uris": ["https://controller.example.com/callback"],
        }
        registered = Registered(server, server.http.post(url("/register"), json=document).json())
        page = server.http.get(url("/authorize"), params=registered.request(scope="node"))
        cookie = page.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        browser = Browser(server.http)
        page = browser.log_in(page)
        answered = answer(browser.submit(page, "approve"))
        assert answered["iss"] == server.issuer


def test_a_form_is_a_form(client: Registered, browser: Browser) -> None:
    """Other bodies get a page that says so."""
    page = browser.log_in(browser.open(client.request()))
    uri = form_action(page)
    for response in (
        browser.http.post(uri),
        browser.http.post(uri, json={"csrf": csrf(page)}),
        browser.http.post(uri, data={"csrf": csrf(page), "x": "y" * 50_000}),
        browser.http.post(uri, data={"csrf": csrf(page)}),
        browser.http.post(uri, data={"csrf": csrf(page), "action": "other"}),
        browser.http.post(uri, data={"csrf": [csrf(page), csrf(page)], "action": "approve"}),
    ):
        assert response.status_code in {400, 403, 413}
        assert "location" not in response.headers
        assert response.headers["content-type"].startswith("text/html")
