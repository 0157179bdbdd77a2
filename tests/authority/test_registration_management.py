"""Clients that manage their registration (RFC 7592)."""

from __future__ import annotations

import httpx2
import pytest

from tests.authority.flows import Pkce, Registered, browsing, register
from tests.authority.support import Served


def test_a_client_reads_its_registration(server: Served) -> None:
    """RFC 7592 Section 2.1: the answer is that of the registration, the secret included."""
    client = register(server)
    response = server.http.get(client.uri, headers=client.bearer)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == client.document


def test_only_its_own_token_manages_a_registration(server: Served) -> None:
    """Without it, with another's, or for a client that is not there: the same 401."""
    client, other = register(server), register(server)
    missing = f"{server.issuer}/register/nobody-0123456789"
    for method in ("GET", "PUT", "DELETE"):
        for uri, headers in ((client.uri, {}), (client.uri, other.bearer), (missing, other.bearer)):
            body = client.document if method == "PUT" else None
            response = server.http.request(method, uri, headers=headers, json=body)
            assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
            assert "www-authenticate" in response.headers
    assert server.http.get(client.uri, headers=client.bearer).status_code == 200


def update(client: Registered, **changes: object) -> httpx2.Response:
    """Send an update with the client's own values, changed; None leaves one out."""
    assigned = {"registration_access_token", "registration_client_uri", "client_id_issued_at"}
    assigned.add("client_secret_expires_at")
    current = {name: value for name, value in client.document.items() if name not in assigned}
    merged = {**current, **changes}
    document = {name: value for name, value in merged.items() if value is not None}
    return client.server.http.put(client.uri, json=document, headers=client.bearer)


def test_a_client_updates_its_registration(server: Served) -> None:
    """RFC 7592 Section 2.2: what it sends takes the place of all there was; its secret stays."""
    client = register(server, software_id="abc")
    other = "https://controller.example.com/other"
    response = update(client, redirect_uris=[other], scope="query", software_id=None)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["redirect_uris"], answer["scope"]) == ([other], "query")
    assert "software_id" not in answer
    assert answer["client_secret"] == client.document["client_secret"]
    assert server.http.get(client.uri, headers=client.bearer).json() == answer
    with browsing(server) as browser:
        assert browser.open(client.request()).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "another-0123456789-0123"},
        {"client_secret": "guessed"},
        {"client_secret": 5},
        {"registration_access_token": "x"},
        {"client_id_issued_at": 5},
        {"redirect_uris": ["http://evil.example.com/"]},
        {"client_name": None},
        {"grant_types": ["authorization_code", "client_credentials"], "scope": "registration"},
    ],
)
def test_updates_have_to_be_in_order(server: Served, changes: dict[str, object]) -> None:
    """A wrong update is refused whole: nor does one bring client_credentials to an open client."""
    client = register(server)
    response = update(client, **changes)
    assert response.status_code == 400
    assert server.http.get(client.uri, headers=client.bearer).json() == client.document


def test_a_client_changes_how_it_authenticates(server: Served) -> None:
    """Its secret goes with the method that takes one, and another comes with it."""
    client = register(server)
    public = update(client, token_endpoint_auth_method="none", client_secret=None).json()
    assert "client_secret" not in public
    former = httpx2.BasicAuth(client.client_id, str(client.document["client_secret"]))
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert server.http.post("/token", data=form, auth=former).json()["error"] == "invalid_client"
    again = update(Registered(server, public), token_endpoint_auth_method="client_secret_basic")
    assert again.json()["client_secret"] != client.document["client_secret"]


def test_less_scope_counts_at_the_next_refresh(server: Served) -> None:
    """What a client gave up is in no token any more."""
    client = register(server)
    with browsing(server) as browser:
        code = browser.code(client.request(scope="connection query"))
    token = client.exchange(code).json()["refresh_token"]
    assert update(client, scope="query").status_code == 200
    answer = client.refresh(token).json()
    assert answer["scope"] == "query"
    assert update(client, scope="node").status_code == 200
    assert client.refresh(answer["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_deleted_client_is_gone(server: Served) -> None:
    """RFC 7592 Section 2.3: so are its tokens, and the token that managed it."""
    client, pkce = register(server, token_endpoint_auth_method="none"), Pkce()
    with browsing(server) as browser:
        code = browser.code(client.request(**pkce.query))
        token = client.exchange(code, pkce.verifier).json()["refresh_token"]
        response = server.http.delete(client.uri, headers=client.bearer)
        assert (response.status_code, response.content) == (204, b"")
        assert browser.open(client.request(**pkce.query)).status_code == 400
    assert client.refresh(token).json()["error"] == "invalid_client"
    for method in ("GET", "DELETE"):
        response = server.http.request(method, client.uri, headers=client.bearer)
        assert response.status_code == 401
