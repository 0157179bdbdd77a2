"""Metadata, JWKS, CORS and what is not served (RFC 8414, RFC 7517, IS-10 "APIs")."""

from __future__ import annotations

import httpx2
import pytest
from joserfc.jwk import RSAKey

from tests.authority.support import Served, served
from tests.support.tls import TestAuthority

WELL_KNOWN = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(
    ("path", "well_known"),
    [
        ("", WELL_KNOWN),
        ("/", WELL_KNOWN),
        ("/x-nmos/auth/v1.0", f"{WELL_KNOWN}/x-nmos/auth/v1.0"),
        ("/x-nmos/auth/v1.0/", f"{WELL_KNOWN}/x-nmos/auth/v1.0"),
    ],
)
def test_metadata_is_found_where_the_issuer_says(path: str, well_known: str) -> None:
    """The issuer's path comes last, the issuer is identical, and every URL named answers."""
    with served(path=path) as server:
        response = server.http.get(well_known)
        metadata = response.json()
        assert response.headers["content-type"] == "application/json"
        assert metadata["issuer"] == server.issuer
        assert server.http.get(metadata["jwks_uri"]).status_code == 200
        assert server.http.post(metadata["token_endpoint"]).status_code == 400
        assert "NOT FOR PRODUCTION" in server.http.get(metadata["service_documentation"]).text
        if path.strip("/"):
            assert server.http.get(WELL_KNOWN).status_code == 404


def test_metadata_lists_what_is_served_and_nothing_else(server: Served) -> None:
    """Grants, authentication methods and scopes are there, endpoints of other grants are not."""
    assert server.http.get(WELL_KNOWN).json() == {
        "issuer": server.issuer,
        "token_endpoint": f"{server.issuer}/token",
        "jwks_uri": f"{server.issuer}/jwks",
        "scopes_supported": ["connection", "events", "node", "query", "registration"],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "service_documentation": f"{server.issuer}/about",
    }


def test_jwks_holds_two_public_keys_for_rs512(server: Served) -> None:
    """The key in use and the next one are published, without a private member."""
    response = server.http.get("/jwks")
    keys = response.json()["keys"]
    assert response.headers["cache-control"] == "no-cache"
    assert len({key["kid"] for key in keys}) == 2
    for key in keys:
        assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS512")
        assert RSAKey.import_key(key).public_key.key_size >= 2048


def test_a_tls_client_gets_a_token(tls: TestAuthority) -> None:
    """Over TLS metadata, token and keys fit together."""
    with served(tls=tls, path="/x-nmos/auth/v1.0") as server:
        assert server.issuer.startswith("https://localhost:")
        assert server.verified(server.token())["iss"] == server.issuer


@pytest.mark.parametrize("path", [WELL_KNOWN, "/jwks", "/token"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {
            "Origin": "https://controller.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        },
    ],
)
def test_options_needs_no_authorization_and_allows_it(
    server: Served, path: str, headers: dict[str, str]
) -> None:
    """Preflights and plain OPTIONS are answered, with `Authorization` permitted."""
    response = server.http.options(path, headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert ("POST" if path == "/token" else "GET") in response.headers[
        "access-control-allow-methods"
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/jwks", 200), ("POST", "/token", 400), ("GET", "/token", 405), ("PUT", "/jwks", 405)],
)
def test_browsers_may_read_every_answer(
    server: Served, method: str, path: str, status: int
) -> None:
    """CORS headers stand on good answers and errors alike."""
    response = server.http.request(method, path, headers={"Origin": "https://c.example.com"})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-expose-headers"] == "WWW-Authenticate"


@pytest.mark.parametrize("path", ["/", "/token/", "/jwks/", "/authorize", "/register", "/nothing"])
def test_other_paths_are_not_found(server: Served, path: str) -> None:
    """Nothing redirects, and the error has the form of the others."""
    response = server.http.get(path, follow_redirects=False)
    assert response.status_code == 404
    assert response.json()["error"] == "invalid_request"


def test_head_is_answered_like_get(server: Served) -> None:
    """HEAD has the headers of GET and no body."""
    response: httpx2.Response = server.http.head("/jwks")
    assert (response.status_code, response.content) == (200, b"")
