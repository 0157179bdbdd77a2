"""Refresh tokens and their revocation (RFC 6749 Section 6, RFC 7009, IS-10 "Refresh Tokens")."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import httpx2
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from nmos_auth.authority.authorizations import REUSE_GRACE, Authorizations, Use
from nmos_auth.authority.database import Database
from tests.authority.flows import Browser, Pkce, Registered, browsing, register
from tests.authority.support import USER, Served, served
from tests.support.clocks import Clock


@pytest.fixture(scope="module")
def browser(server: Served) -> Iterator[Browser]:
    """Open a browser that stays logged in."""
    with browsing(server) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(server: Served) -> Registered:
    """Register a client with a secret."""
    return register(server)


def first_token(client: Registered, browser: Browser, **changes: str) -> str:
    """Have a user authorize a client, and give its refresh token."""
    tokens = client.exchange(browser.code(client.request(**changes))).json()
    return str(tokens["refresh_token"])


def error(response: httpx2.Response) -> tuple[int, str]:
    """Return status and error code of a refusal."""
    return response.status_code, response.json()["error"]


def test_a_refresh_token_gives_another(
    server: Served, client: Registered, browser: Browser
) -> None:
    """The new Access Token is the user's still, and the refresh token another, each time."""
    tokens = [first_token(client, browser, scope="connection query")]
    for _ in range(3):
        response = client.refresh(tokens[-1])
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        answer = response.json()
        assert answer["scope"] == "connection query"
        assert server.verified(answer["access_token"])["sub"] == USER.name
        assert len(answer["refresh_token"]) >= 40
        tokens.append(answer["refresh_token"])
    assert len(set(tokens)) == 4


def test_a_refresh_token_used_twice_kills_the_family(
    client: Registered, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 9700 Section 4.14.2: neither of two holders can go on; another authorization can."""
    other = first_token(client, browser)
    first = first_token(client, browser)
    second = client.refresh(first).json()["refresh_token"]
    third = client.refresh(second).json()["refresh_token"]
    with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
        assert error(client.refresh(first)) == (400, "invalid_grant")
    assert "a refresh token was used twice" in caplog.text
    assert first not in caplog.text
    for successor in (second, third):
        assert error(client.refresh(successor)) == (400, "invalid_grant")
    assert client.refresh(other).status_code == 200


def test_many_at_once_go_on_together(client: Registered, browser: Browser) -> None:
    """Requests with one refresh token that come at the same time belong to one client."""
    token = first_token(client, browser)
    successors: list[str] = []

    def refresh() -> None:
        successors.append(client.refresh(token).json()["refresh_token"])

    threads = [threading.Thread(target=refresh) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(successors)) == 5
    assert client.refresh(successors[-1]).status_code == 200


def test_whoever_comes_second_is_told_so() -> None:
    """Of two that found the same token, the second has the grace of a token just replaced."""
    clock = Clock()
    authorizations = Authorizations(Database(None), clock=clock, refresh_lifetime=100)
    code = authorizations.grant_code(
        client_id="c",
        user="u",
        scope="node",
        redirect_uri=None,
        code_challenge=None,
        code_challenge_method=None,
    )
    taken, _ = authorizations.take_code(code, "c")
    assert taken is not None
    text = authorizations.new_refresh_token(taken.authorization)
    first, second = (authorizations.find_refresh_token(text) for _ in range(2))
    assert first is not None
    assert second is not None
    assert authorizations.use_refresh_token(first, extend=True) is Use.FIRST
    assert authorizations.use_refresh_token(second, extend=True) is Use.AGAIN
    clock.now += REUSE_GRACE
    assert authorizations.use_refresh_token(second, extend=True) is Use.REUSE
    third = authorizations.find_refresh_token(authorizations.new_refresh_token(first.authorization))
    assert third is not None
    authorizations.revoke(first.authorization)
    assert authorizations.use_refresh_token(third, extend=True) is Use.REUSE


def test_a_lost_answer_costs_nobody_a_login() -> None:
    """The token last replaced serves for 30 seconds more, as often as it takes; then no longer."""
    clock = Clock()
    with served(clock=clock) as server, browsing(server) as browser:
        client = register(server)
        lost = first_token(client, browser)
        client.refresh(lost)
        clock.now += 29
        found = [client.refresh(lost).json()["refresh_token"] for _ in range(2)]
        assert client.refresh(found[0]).status_code == 200
        # It is no longer the one last replaced, and whoever has it still is not its client.
        assert error(client.refresh(lost)) == (400, "invalid_grant")
        assert error(client.refresh(found[1])) == (400, "invalid_grant")
        late = first_token(client, browser)
        successor = client.refresh(late).json()["refresh_token"]
        clock.now += 31
        assert error(client.refresh(late)) == (400, "invalid_grant")
        assert error(client.refresh(successor)) == (400, "invalid_grant")


def test_the_grace_is_for_the_same_client(server: Served, browser: Browser) -> None:
    """Whoever else shows a token just replaced gets nothing, and does its owner no harm."""
    client = register(server)
    token = first_token(client, browser)
    successor = client.refresh(token).json()["refresh_token"]
    assert error(register(server).refresh(token)) == (400, "invalid_grant")
    assert client.refresh(successor).status_code == 200


class Rotation(RuleBasedStateMachine):
    """A family of refresh tokens, of which every token ever issued may be shown at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(1_000_000.0)
        self.authorizations = Authorizations(
            Database(None), clock=self.clock, refresh_lifetime=10**6
        )
        code = self.authorizations.grant_code(
            client_id="c",
            user="u",
            scope="node",
            redirect_uri=None,
            code_challenge=None,
            code_challenge_method=None,
        )
        taken, _ = self.authorizations.take_code(code, "c")
        assert taken is not None
        self.family = taken.authorization
        self.issued = [(self.authorizations.new_refresh_token(self.family), 0)]
        self.generation, self.replaced_at, self.revoked = 0, 0.0, False

    @rule(seconds=st.sampled_from([0.5, 10.0, 29.0, 31.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += seconds

    @rule(index=st.integers(0, 50))
    def show(self, index: int) -> None:
        """Show one of the tokens, old or new."""
        text, generation = self.issued[-1 - index % len(self.issued)]
        token = self.authorizations.find_refresh_token(text)
        assert token is not None
        use = self.authorizations.use_refresh_token(token, extend=False)
        if self.revoked:
            expected = Use.REUSE
        elif generation == self.generation:
            expected = Use.FIRST
            self.generation, self.replaced_at = self.generation + 1, self.clock.now
        else:
            recent = self.clock.now - self.replaced_at < REUSE_GRACE
            expected = Use.AGAIN if recent and generation == self.generation - 1 else Use.REUSE
        assert use is expected
        if use is Use.REUSE:
            self.authorizations.revoke(self.family)
            self.revoked = True
        else:
            self.issued.append(
                (self.authorizations.new_refresh_token(self.family), self.generation)
            )


TestRotation = Rotation.TestCase
TestRotation.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_a_refresh_token_is_bound_to_its_client(
    server: Served, client: Registered, browser: Browser
) -> None:
    """IS-10: another client gets nothing for it, and does its owner no harm."""
    token = first_token(client, browser)
    other = register(server)
    assert error(other.refresh(token)) == (400, "invalid_grant")
    newer = client.refresh(token).json()["refresh_token"]
    assert error(other.refresh(token)) == (400, "invalid_grant")
    assert client.refresh(newer).status_code == 200


def test_the_scope_may_be_less_and_not_more(
    server: Served, client: Registered, browser: Browser
) -> None:
    """RFC 6749 Section 6: within what was granted, which the next refresh token has in full."""
    token = first_token(client, browser, scope="connection query")
    assert error(client.refresh(token, scope="connection node")) == (400, "invalid_scope")
    less = client.refresh(token, scope="query").json()
    assert less["scope"] == "query"
    assert "x-nmos-connection" not in server.verified(less["access_token"])
    assert client.refresh(less["refresh_token"]).json()["scope"] == "connection query"


@pytest.mark.parametrize("token", [None, "", "never-issued", "x" * 5000, "\u00e9"])
def test_no_other_token_counts(client: Registered, token: str | None) -> None:
    """Missing, empty or unknown: refused."""
    form = {} if token is None else {"refresh_token": token}
    response = client.post("/token", grant_type="refresh_token", **form)
    expected = "invalid_grant" if token else "invalid_request"
    assert error(response) == (400, expected)


@pytest.mark.parametrize(("method", "slides"), [("none", False), ("client_secret_basic", True)])
def test_refresh_tokens_expire(method: str, *, slides: bool) -> None:
    """Those of public clients at a fixed time, as IS-10 has it for browsers; others when unused."""
    clock = Clock()
    with served(clock=clock, refresh_lifetime=100) as server, browsing(server) as browser:
        client = register(server, token_endpoint_auth_method=method)
        pkce = Pkce()
        code = browser.code(client.request(**pkce.query))
        token = client.exchange(code, pkce.verifier).json()["refresh_token"]
        clock.now += 60
        token = client.refresh(token).json()["refresh_token"]
        clock.now += 60
        response = client.refresh(token)
        assert response.status_code == (200 if slides else 400)
        if slides:
            clock.now += 101
            assert error(client.refresh(response.json()["refresh_token"])) == (400, "invalid_grant")


def revoke(client: Registered, **form: str) -> httpx2.Response:
    """Ask for the revocation of a token."""
    return client.post("/revoke", **form)


@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "something"])
def test_a_revoked_refresh_token_is_void(
    client: Registered, browser: Browser, hint: str | None
) -> None:
    """RFC 7009 Section 2: whatever the hint, and a second time as well as the first."""
    token = first_token(client, browser)
    form = {"token": token} if hint is None else {"token": token, "token_type_hint": hint}
    for _ in range(2):
        response = revoke(client, **form)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
    assert error(client.refresh(token)) == (400, "invalid_grant")


def test_a_former_refresh_token_revokes_its_successors(
    client: Registered, browser: Browser
) -> None:
    """All that came of one authorization goes at once."""
    former = first_token(client, browser)
    token = client.refresh(former).json()["refresh_token"]
    assert revoke(client, token=former).status_code == 200
    assert error(client.refresh(token)) == (400, "invalid_grant")


def test_a_public_client_revokes_its_own(server: Served, browser: Browser) -> None:
    """RFC 7009 Section 2.1: it names itself, as at the token endpoint."""
    client, pkce = register(server, token_endpoint_auth_method="none"), Pkce()
    code = browser.code(client.request(**pkce.query))
    token = client.exchange(code, pkce.verifier).json()["refresh_token"]
    assert revoke(client, token=token).status_code == 200
    assert error(client.refresh(token)) == (400, "invalid_grant")


def test_nobody_revokes_for_another(server: Served, client: Registered, browser: Browser) -> None:
    """Another client is refused; so is whoever does not authenticate."""
    token = first_token(client, browser)
    assert error(revoke(register(server), token=token)) == (400, "invalid_grant")
    form = {"token": token, "client_id": client.client_id}
    assert error(server.http.post("/revoke", data=form)) == (401, "invalid_client")
    assert error(server.http.post("/revoke", data={"token": token})) == (401, "invalid_client")
    assert client.refresh(token).status_code == 200


def test_revocation_says_what_it_cannot_do(
    server: Served, client: Registered, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown token is as good as revoked; an Access Token lives on, and that is said."""
    assert revoke(client, token="never-issued").status_code == 200
    assert error(revoke(client)) == (400, "invalid_request")
    with caplog.at_level(logging.WARNING, "nmos_auth.authority"):
        assert error(revoke(client, token=server.token())) == (400, "unsupported_token_type")
    assert "revocation refused: error=unsupported_token_type" in caplog.text
