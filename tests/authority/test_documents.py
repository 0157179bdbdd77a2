"""Metadata, JWKS, CORS and what is not served (RFC 8414, RFC 7517, IS-10 "APIs")."""

from __future__ import annotations

import httpx2
import pytest
from joserfc.jwk import RSAKey

from nmos_auth.authority.clients import NMOS_APIS
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
    """All that the schema of IS-10 requires, auth_metadata.json, and what more there is."""
    methods = ["private_key_jwt", "client_secret_basic", "none"]
    algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    assert server.http.get(WELL_KNOWN).json() == {
        "issuer": server.issuer,
        "authorization_endpoint": f"{server.issuer}/authorize",
        "token_endpoint": f"{server.issuer}/token",
        "revocation_endpoint": f"{server.issuer}/revoke",
        "registration_endpoint": f"{server.issuer}/register",
        "jwks_uri": f"{server.issuer}/jwks",
        "scopes_supported": sorted(NMOS_APIS),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256", "plain"],
        "authorization_response_iss_parameter_supported": True,
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


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (WELL_KNOWN, "GET"),
        ("/jwks", "GET"),
        ("/token", "POST"),
        ("/revoke", "POST"),
        ("/register", "POST"),
        ("/register/a-client", "PUT"),
    ],
)
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
    server: Served, path: str, method: str, headers: dict[str, str]
) -> None:
    """Preflights and plain OPTIONS are answered, with `Authorization` permitted."""
    response = server.http.options(path, headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert method in response.headers["access-control-allow-methods"]


def test_scripts_may_not_use_the_authorization_endpoint(server: Served) -> None:
    """OPTIONS is answered there too (IS-10), but "MUST NOT support CORS" (RFC 9700 2.6)."""
    headers = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}
    response = server.http.options("/authorize", headers=headers)
    assert response.status_code == 200
    assert "Authorization" in response.headers["access-control-allow-headers"]
    for answer in (response, server.http.get("/authorize", headers=headers)):
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jwks", 200),
        ("POST", "/token", 400),
        ("GET", "/token", 405),
        ("PUT", "/jwks", 405),
        ("GET", "/nothing", 404),
    ],
)
def test_browsers_may_read_every_answer(
    server: Served, method: str, path: str, status: int
) -> None:
    """CORS headers stand on good answers and errors alike."""
    response = server.http.request(method, path, headers={"Origin": "https://c.example.com"})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-expose-headers"] == "WWW-Authenticate, Retry-After"


@pytest.mark.parametrize(
    "path", ["/", "/token/", "/jwks/", "/authorize/", "/register/", "/nothing"]
)
def test_other_paths_are_not_found(server: Served, path: str) -> None:
    """Nothing redirects, and the error has the form of the others."""
    response = server.http.get(path, follow_redirects=False)
    assert response.status_code == 404
    assert response.json()["error"] == "invalid_request"


@pytest.mark.filterwarnings("default")
def test_what_should_not_happen_is_an_oauth_error_too() -> None:
    """500 `server_error` as JSON, which scripts of other origins may read."""
    with served() as server:
        server.authority.close()
        form = {"grant_type": "client_credentials", "client_id": "nobody"}
        response = server.http.post("/token", data=form)
        assert response.status_code == 500
        assert response.json()["error"] == "server_error"
        assert response.headers["access-control-allow-origin"] == "*"


def test_head_is_answered_like_get(server: Served) -> None:
    """HEAD has the headers of GET and no body."""
    response: httpx2.Response = server.http.head("/jwks")
    assert (response.status_code, response.content) == (200, b"")
