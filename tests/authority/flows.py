"""Users, browsers and Clients that go through the flows of the development server."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
from joserfc.jwk import RSAKey

from nmos_auth.authority import Client, Permissions, new_signing_key
from tests.authority.support import PASSWORD, USER, Served
from tests.support.scene import http_client
from tests.support.tokens import b64url

__all__ = [
    "CALLBACK",
    "LOOPBACK",
    "SIGNER",
    "SIGNER_KEY",
    "Browser",
    "Pkce",
    "Registered",
    "assertion",
    "browsing",
    "public_jwks",
    "register",
]

CALLBACK = "https://controller.example.com/callback"
LOOPBACK = "http://127.0.0.1:8400/callback"

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


SIGNER_KEY = new_signing_key()


def public_jwks(*keys: RSAKey) -> dict[str, object]:
    """Return a JWK Set of the public parts."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


SIGNER = Client(
    client_id="node-with-a-key-0123456789",
    token_endpoint_auth_method="private_key_jwt",
    jwks=public_jwks(SIGNER_KEY),
    audience=("registry.example.com",),
    scopes=("registration",),
    permissions={"registration": Permissions(read=("*",), write=("*",))},
)


@dataclass(frozen=True)
class Pkce:
    """A code verifier and its S256 challenge (RFC 7636)."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The challenge, computed by the standard library alone."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return b64url(digest)

    @property
    def query(self) -> dict[str, str]:
        """What an authorization request has of it."""
        return {"code_challenge": self.challenge, "code_challenge_method": "S256"}


@dataclass(frozen=True)
class Registered:
    """A Client that registered, and how it speaks to its server."""

    server: Served
    document: Mapping[str, object]

    @property
    def client_id(self) -> str:
        """Its id."""
        return str(self.document["client_id"])

    @property
    def uri(self) -> str:
        """Where it manages its registration."""
        return str(self.document["registration_client_uri"])

    @property
    def bearer(self) -> dict[str, str]:
        """The headers with which it does."""
        return {"Authorization": f"Bearer {self.document['registration_access_token']}"}

    def post(self, endpoint: str, **form: str) -> httpx2.Response:
        """Send a form as this client: with its secret, or with its id where it has none."""
        if "client_secret" in self.document:
            auth = httpx2.BasicAuth(self.client_id, str(self.document["client_secret"]))
            return self.server.http.post(endpoint, data=form, auth=auth)
        return self.server.http.post(endpoint, data={"client_id": self.client_id, **form})

    def exchange(
        self, code: str, verifier: str | None = None, redirect_uri: str | None = CALLBACK
    ) -> httpx2.Response:
        """Exchange a code for tokens."""
        form = {"grant_type": "authorization_code", "code": code}
        if verifier is not None:
            form["code_verifier"] = verifier
        if redirect_uri is not None:
            form["redirect_uri"] = redirect_uri
        return self.post("/token", **form)

    def refresh(self, token: str, **form: str) -> httpx2.Response:
        """Ask for new tokens by a refresh token."""
        return self.post("/token", grant_type="refresh_token", refresh_token=token, **form)

    def request(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters of an authorization request, changed; None leaves one out."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": "connection",
            "state": "a state & more",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}


def register(server: Served, **changes: object) -> Registered:
    """Register a Client for the Authorization Code grant; None leaves a field out."""
    document = {
        "client_name": "Controller <1>",
        "scope": "node connection query",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        **changes,
    }
    response = server.http.post(
        "/register", json={name: value for name, value in document.items() if value is not None}
    )
    assert response.status_code == 201, response.text
    return Registered(server, response.json())


@dataclass(frozen=True)
class Browser:
    """A user's browser, which keeps cookies and follows no redirect by itself."""

    http: httpx2.Client

    def open(self, parameters: Mapping[str, str]) -> httpx2.Response:
        """Open the authorization endpoint."""
        return self.http.get("/authorize", params=parameters)

    def submit(self, page: httpx2.Response, action: str, **fields: str) -> httpx2.Response:
        """Send the form of a page, its hidden fields included."""
        return self.http.post(
            form_action(page), data={"csrf": csrf(page), "action": action, **fields}
        )

    def log_in(self, page: httpx2.Response) -> httpx2.Response:
        """Log in as the user there is."""
        return self.submit(page, "login", username=USER.name, password=PASSWORD)

    def authorize(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Log in, approve, and give what the Client is answered."""
        page = self.open(parameters)
        if "Log in</button>" in page.text:
            page = self.log_in(page)
        return answer(self.submit(page, "approve"))

    def code(self, parameters: Mapping[str, str]) -> str:
        """Log in, approve, and give the code."""
        return self.authorize(parameters)["code"]


def csrf(page: httpx2.Response) -> str:
    """Return the token that a page's form has."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def form_action(page: httpx2.Response) -> str:
    """Return where a page's form goes."""
    found = re.search(r'action="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def answer(response: httpx2.Response, redirect_uri: str = CALLBACK) -> dict[str, str]:
    """Return the parameters with which a browser is sent to a redirect URI."""
    assert response.status_code == 302, response.text
    location = response.headers["location"]
    assert location.startswith(redirect_uri)
    parameters = parse_qs(urlsplit(location).query, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values())
    return {name: values[0] for name, values in parameters.items()}


@contextmanager
def browsing(server: Served) -> Iterator[Browser]:
    """Open a browser for a server over plain http."""
    with http_client(server.issuer) as http:
        yield Browser(http)


def assertion(
    key: RSAKey,
    client_id: str,
    audience: object,
    changes: Mapping[str, object] = MappingProxyType({}),
    *,
    algorithm: str = "RS512",
    header: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, str]:
    """Return the parameters of private_key_jwt, signed by PyJWT; a None claim is left out."""
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_urlsafe(16),
        **changes,
    }
    payload = {name: value for name, value in claims.items() if value is not None}
    assert key.private_key is not None
    protected = {"alg": algorithm, "typ": "JWT", "kid": key.kid or "none", **header}
    signed = ".".join(b64url(json.dumps(each).encode()) for each in (protected, payload))
    rsa = jwt.get_algorithm_by_name(algorithm)
    signature = rsa.sign(signed.encode(), rsa.prepare_key(key.private_key))
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": f"{signed}.{b64url(signature)}",
    }
