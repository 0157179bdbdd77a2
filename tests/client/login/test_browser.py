"""Logins as a browser meets them: prefixes, tabs, destinations, origins, cookies, failures."""

from typing import Annotated
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount

from nmos_auth.client import AuthorizationClient, ClientError
from nmos_auth.client.login import LoginFailure, LoginRoutes, Session
from nmos_auth.client.login.browser import cookie_name, local_path
from tests.client.conftest import MakeClientSettings
from tests.client.login.applications import (
    WEB,
    Ends,
    application,
    browsing,
    controller,
    logging_in,
    state_of,
)
from tests.client.scripted import Refusal, ScriptedServer


@pytest.mark.parametrize("server_in_uri", [False, True])
@pytest.mark.parametrize(
    ("how", "prefix"),
    [
        ("mount", "/ctl"),
        ("mount", "/a/b"),
        ("root_path", "/ctl"),
        # As the ASGI specification has it: the path has the prefix too.
        ("root_path in path", "/ctl"),
        ("told", "/ctl"),
    ],
)
async def test_any_prefix(
    server: ScriptedServer,
    make_settings: MakeClientSettings,
    how: str,
    prefix: str,
    *,
    server_in_uri: bool,
) -> None:
    """Mounted, behind a proxy that sets `root_path`, or behind one that says nothing."""
    uri = f"{WEB}{prefix}/callback" + ("/{server}" if server_in_uri else "")
    async with AuthorizationClient(make_settings(server.issuer, **controller(uri))) as client:
        login = LoginRoutes(client, prefix=prefix if how == "told" else "", after_login="/who")
        app = application(login)
        if how == "mount":
            app = Starlette(routes=[Mount(prefix, app)])
        # A proxy takes the prefix off; some servers put it on again with `root_path`.
        seen = prefix if how in {"mount", "root_path in path"} else ""
        root = prefix if how.startswith("root_path") else ""
        async with login, browsing(app, root_path=root) as browser:
            begun = await browser.http.get(f"{seen}/login")
            sent = httpx.URL(begun.headers["location"]).params["redirect_uri"]
            assert sent.startswith(f"{WEB}{prefix}/callback")
            back = seen + sent.removeprefix(WEB + prefix)
            done = await browser.come_back(state_of(begun.headers["location"]), back)
            assert done.status_code == 303, done.text
            assert done.headers["location"] == f"{prefix}/who"
            assert await browser.who(f"{seen}/who") is not None
            out = await browser.http.post(f"{seen}/logout")
            assert out.headers["location"] == f"{prefix}/"
            assert await browser.who(f"{seen}/who") is None
            failed = await browser.come_back("unknown", back)
            assert f'href="{prefix}/login?next={prefix}/who"' in failed.text


async def test_another_servers_redirect_uri(
    server: ScriptedServer, make_settings: MakeClientSettings
) -> None:
    """An answer belongs to the redirect URI of the server that was asked (RFC 9700, 4.4.2)."""
    uri = f"{WEB}/callback/{{server}}"
    settings = make_settings(server.issuer, **controller(uri))
    async with (
        AuthorizationClient(settings) as client,
        logging_in(LoginRoutes(client)) as browser,
    ):
        answer = await browser.come_back(await browser.begin(), "/callback/0123456789ab")
        assert answer.status_code == 400
        assert "another server" in answer.text
        assert not server.requests("/token")


async def test_tabs_do_not_disturb_each_other(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """Several logins under way in one browser all end well, in any order."""
    async with logging_in(LoginRoutes(client)) as browser:
        states = [await browser.begin(f"/login?next=/tab/{number}") for number in range(5)]
        for number in (3, 0, 4, 1, 2):
            done = await browser.come_back(states[number])
            assert done.headers["location"] == f"/tab/{number}"
        assert await browser.who() is not None
        # Each new login ended the one before: nothing of them is left at the server.
        assert len(server.requests("/revoke")) == 4


async def test_abandoned_logins_do_not_fill_the_cookies(client: AuthorizationClient) -> None:
    """However many logins are begun, a browser has six of them at most, and each ends by itself."""
    async with logging_in(LoginRoutes(client)) as browser:
        states = [await browser.begin() for _ in range(12)]
        assert len(browser.http.cookies) <= 6
        assert sum(len(each.value or "") for each in browser.http.cookies.jar) < 6000
        assert (await browser.come_back(states[-1])).status_code == 303


async def test_beginning_logins_leaves_nothing_on_the_server(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """A stranger who begins logins all day long fills no memory, and throws out nobody."""
    async with logging_in(LoginRoutes(client)) as browser:
        state = await browser.begin()
        for _ in range(50):
            async with httpx.AsyncClient(
                transport=browser.http._transport, base_url=WEB
            ) as stranger:
                await stranger.get("/login")
        assert (await browser.come_back(state)).status_code == 303
    # Nor do they cost the Authorization Server anything.
    assert len(server.asked) < 10


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.org/",
        "//evil.org",
        "/\\evil.org",
        "evil",
        "/a\\b",
        "/a\nb",
        "/\t/evil.org",
        "javascript:alert(1)",
        "",
        "/" + "x" * 2000,
    ],
)
async def test_destinations_are_of_this_origin(client: AuthorizationClient, target: str) -> None:
    """Login and logout end on a path of this origin, whatever a link says."""
    async with logging_in(LoginRoutes(client, after_login="/in", after_logout="/out")) as browser:
        started = await browser.http.get("/login", params={"next": target})
        done = await browser.come_back(state_of(started.headers["location"]))
        assert done.headers["location"] == "/in"
        out = await browser.http.post("/logout", params={"next": target})
        assert out.headers["location"] == "/out"
        chosen = await browser.http.post("/logout", params={"next": "/bye?a=b"})
        assert chosen.headers["location"] == "/bye?a=b"


@given(st.text(max_size=30) | st.from_regex(r"[/\\\\\t\n.:@ a]{0,8}[a-z.]{0,8}", fullmatch=True))
def test_no_destination_leaves_the_origin(target: str) -> None:
    """Whatever it is: a browser, which drops tabs and reads backslashes as slashes, stays here."""
    path = local_path(target, "/").replace("\\", "/")
    read = urljoin(f"{WEB}/a/b", "".join(each for each in path.strip() if each not in "\t\r\n"))
    assert read.startswith(f"{WEB}/")


async def test_a_session_is_a_dependency_of_fastapi(client: AuthorizationClient) -> None:
    """`Depends(login.current)` gives handlers and WebSockets the session, or None."""
    login = LoginRoutes(client)
    app = FastAPI()
    app.router.routes.extend(login.routes)

    @app.get("/issuer")
    async def issuer(session: Annotated[Session | None, Depends(login.current)]) -> str | None:
        return None if session is None else session.issuer

    async with login, browsing(app) as browser:
        assert (await browser.http.get("/issuer")).json() is None
        await browser.log_in()
        assert (await browser.http.get("/issuer")).json().startswith("https://localhost:")


def test_local_paths_stay_as_they_are() -> None:
    """A path with a query is a destination; so is one with escapes, which browsers resolve here."""
    for path in ("/", "/a?b=//c", "/%2f%2fevil.org", "/..//evil.org", "/é"):
        assert local_path(path, "/") == path


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, True),
        ({"origin": WEB}, True),
        ({"origin": WEB, "sec-fetch-site": "same-origin"}, True),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": f"{WEB}:8443"}, False),
        ({"origin": f"{WEB}:8443", "sec-fetch-site": "same-site"}, False),
        ({"origin": "http://controller.example.com"}, False),
        ({"origin": "https://evil.org"}, False),
        ({"origin": "https://evil.org", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://evil.org", "sec-fetch-site": "same-origin"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://[::1"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": WEB, "sec-fetch-site": "cross-site"}, False),
    ],
)
async def test_a_logout_comes_from_an_own_page(
    client: AuthorizationClient, headers: dict[str, str], *, accepted: bool
) -> None:
    """A page of another site, or of another port of this host, logs nobody out."""
    async with logging_in(LoginRoutes(client)) as browser:
        await browser.log_in()
        answer = await browser.http.post("/logout", headers=headers)
        assert answer.status_code == (303 if accepted else 403)
        assert (await browser.who() is None) is accepted


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://c.example.com/callback", "https://c.example.com:8443/callback"),
        ("https://c.example.com:8444/callback", "https://c.example.com:8443/callback"),
        ("https://c.example.com/a/callback", "https://c.example.com/b/callback/{server}"),
        ("http://127.0.0.1:8001/callback", "http://127.0.0.1:8002/callback"),
    ],
)
def test_applications_on_one_host_have_names_of_their_own(first: str, second: str) -> None:
    """Cookies know no ports; `__Host-` stands wherever there is TLS."""
    names = [cookie_name(uri, None) for uri in (first, second)]
    assert names[0] != names[1]
    for uri, name in zip((first, second), names, strict=True):
        assert name.startswith("__Host-") is uri.startswith("https:")
        assert cookie_name(uri, "mine").removeprefix("__Host-") == "mine"


async def test_cookies_are_for_this_host_and_no_script(client: AuthorizationClient) -> None:
    """Secure, HttpOnly, SameSite=Lax, the whole host, no Domain; nothing of a token in them."""
    async with logging_in(LoginRoutes(client)) as browser:
        begun = await browser.http.get("/login")
        done = await browser.come_back(state_of(begun.headers["location"]))
        for cookie in [*begun.headers.get_list("set-cookie"), *done.headers.get_list("set-cookie")]:
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
            assert not any(part.startswith("domain") for part in parts)
            assert cookie.startswith("__Host-nmos-auth-")
            assert "access-" not in cookie
            assert "refresh-" not in cookie


async def test_head_begins_and_answers_nothing(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """A link checker neither begins a login nor uses up a code."""
    async with logging_in(LoginRoutes(client)) as browser:
        assert (await browser.http.head("/login")).status_code == 405
        state = await browser.begin()
        assert (await browser.http.head(f"/callback?state={state}&code=x")).status_code == 405
        assert not server.requests("/token")
        assert (await browser.come_back(state)).status_code == 303


async def test_the_page_of_a_failure(client: AuthorizationClient, server: ScriptedServer) -> None:
    """It says why, links to another try, and is nothing that a browser could run."""
    server.answers["/token"] = Refusal(400, {"error": "<script>alert(1)</script>"})
    async with logging_in(LoginRoutes(client)) as browser:
        answer = await browser.come_back(await browser.begin("/login?next=/x%22%3E"))
        assert answer.status_code == 400
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-type"].startswith("text/html")
        assert "<script>" not in answer.text
        assert "None" not in answer.text
        assert 'href="/login?next=/x%22%3E"' in answer.text
        # Its state is used up.
        assert "no login is under way" in (await browser.come_back("other")).text
    refused = {"error": ""}
    async with logging_in(LoginRoutes(client)) as browser:
        answer = await browser.come_back(await browser.begin(), **refused)
        assert "None" not in answer.text


async def test_the_failure_hook(client: AuthorizationClient, server: ScriptedServer) -> None:
    """An application shows a page of its own, with the error as it is."""
    seen: list[LoginFailure] = []

    async def on_failure(_: Request, failure: LoginFailure) -> Response:
        seen.append(failure)
        return PlainTextResponse("sorry", failure.status)

    async with logging_in(LoginRoutes(client, on_failure=on_failure)) as browser:
        answer = await browser.come_back(
            await browser.begin("/login?next=/a"), error="access_denied"
        )
        assert (answer.status_code, answer.text) == (400, "sorry")
        (failure,) = seen
        assert isinstance(failure.error, ClientError)
        assert failure.error.code == "access_denied"
        assert failure.retry == "/login?next=/a"
        server.answers["/.well-known/oauth-authorization-server"] = Refusal(503)


async def test_a_login_ends_the_former_one_of_its_browser(
    client: AuthorizationClient, server: ScriptedServer
) -> None:
    """With its tokens, and the hook is told why."""
    ends = Ends()
    async with logging_in(LoginRoutes(client, on_end=ends)) as browser:
        await browser.log_in()
        await browser.log_in()
        assert ends.reasons == ["replaced"]
        assert len(server.requests("/revoke")) == 1
    assert ends.reasons == ["replaced", "closed"]
