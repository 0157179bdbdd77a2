"""How a Client authenticates at the token and revocation endpoints (RFC 6749 Section 2.3)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from joserfc import jwt
from pydantic import SecretStr

from nmos_auth.client.errors import UnusableAnswer
from nmos_auth.client.grants.keys import ClientKeys
from nmos_auth.client.http import HttpRequest
from nmos_auth.client.metadata import ServerMetadata
from nmos_auth.client.settings import AssertionAudience

__all__ = [
    "ALGORITHMS",
    "ClientAuthentication",
    "NoAuthentication",
    "PrivateKeyJwt",
    "SecretBasic",
    "signing_algorithm",
]

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Seconds for which an assertion is valid, and by which its times are earlier for servers with a
# late clock.
ASSERTION_LIFETIME = 55
_BACKDATED = 5
_FORM = "application/x-www-form-urlencoded"
# IS-10 signs with RS512. Servers that do not support it get the other RSA algorithm.
ALGORITHMS = ("RS512", "RS256")


class ClientAuthentication(Protocol):
    """Makes requests that carry a Client's credentials."""

    def post(
        self, metadata: ServerMetadata, url: str, form: Mapping[str, str], hidden: tuple[str, ...]
    ) -> HttpRequest:
        """Make a POST of `form` to one of the server's endpoints.

        Args:
            metadata: the server's metadata.
            url: the endpoint.
            form: the parameters of the request itself.
            hidden: the values that an error must not show.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoAuthentication:
    """A public client, which only sends its client id (RFC 6749 Section 3.2.1).

    Attributes:
        client_id: its client id.
    """

    client_id: str

    def post(
        self,
        metadata: ServerMetadata,  # noqa: ARG002 - the same for every server
        url: str,
        form: Mapping[str, str],
        hidden: tuple[str, ...],
    ) -> HttpRequest:
        """Make a request with `client_id` and no secret."""
        return _post(url, {**form, "client_id": self.client_id}, {}, hidden)


@dataclass(frozen=True, slots=True)
class SecretBasic:
    """`client_secret_basic`: HTTP Basic with both parts form-encoded (RFC 6749 Section 2.3.1).

    Attributes:
        client_id: its client id.
        secret: its client secret.
    """

    client_id: str
    secret: SecretStr

    def post(
        self,
        metadata: ServerMetadata,  # noqa: ARG002 - the same for every server
        url: str,
        form: Mapping[str, str],
        hidden: tuple[str, ...],
    ) -> HttpRequest:
        """Make a request with an Authorization header."""
        secret = self.secret.get_secret_value()
        pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
        credentials = base64.b64encode(pair.encode()).decode()
        headers = {"authorization": f"Basic {credentials}"}
        return _post(url, form, headers, (*hidden, secret, credentials))


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """`private_key_jwt`: a fresh assertion signed with the Client's key (RFC 7523 Section 2.2).

    Its audience is only the server's issuer identifier, which the issuer's own metadata confirms.
    The revision of RFC 7523 (draft-ietf-oauth-rfc7523bis) drops the token endpoint's URL, because a
    server could name another server's endpoint as its own and collect assertions that are valid
    there. `audience` is for servers that still require the URL.

    Attributes:
        client_id: its client id.
        keys: the keys that sign.
        audience: the audience of assertions.
        algorithm: the algorithm that the server has registered; None to follow its metadata.
        clock: seconds since 1970 UTC.
    """

    client_id: str
    keys: ClientKeys = field(repr=False)
    audience: AssertionAudience
    algorithm: str | None
    clock: Callable[[], float] = field(repr=False)

    def post(
        self, metadata: ServerMetadata, url: str, form: Mapping[str, str], hidden: tuple[str, ...]
    ) -> HttpRequest:
        """Make a request with an assertion, and with `client_id` for servers that read it first."""
        assertion = self._assertion(metadata)
        credentials = {
            "client_id": self.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return _post(url, {**form, **credentials}, {}, (*hidden, assertion))

    def _assertion(self, metadata: ServerMetadata) -> str:
        key = self.keys.current
        to_issuer = self.audience is AssertionAudience.ISSUER
        algorithm = self.algorithm or signing_algorithm(metadata)
        now = int(self.clock())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": metadata.issuer if to_issuer else metadata.token_endpoint,
            "jti": secrets.token_urlsafe(24),
            "iat": now - _BACKDATED,
            "exp": now + ASSERTION_LIFETIME,
        }
        header = {"alg": algorithm, "typ": "JWT", "kid": key.kid}
        return jwt.encode(header, claims, key, algorithms=[algorithm])


def signing_algorithm(metadata: ServerMetadata) -> str:
    """Return the algorithm of assertions: RS512, unless the server accepts RS256 only.

    Raises:
        UnusableAnswer: it accepts neither.
    """
    taken = metadata.auth_signing_algorithms
    for algorithm in ALGORITHMS:
        if taken is None or algorithm in taken:
            return algorithm
    raise UnusableAnswer(
        f"{metadata.issuer} accepts client assertions with neither {' nor '.join(ALGORITHMS)}"
    )


def _post(
    url: str, form: Mapping[str, str], headers: Mapping[str, str], hidden: tuple[str, ...]
) -> HttpRequest:
    return HttpRequest(
        "POST",
        url,
        headers={"content-type": _FORM, **headers},
        content=urlencode(form).encode(),
        secrets=hidden,
    )
