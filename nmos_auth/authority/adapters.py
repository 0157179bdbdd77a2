"""The clients, requests and answers of this server, in the forms that Authlib requires."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from hmac import compare_digest
from typing import Self

from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Payload, OAuth2Request
from typing_extensions import override

from nmos_auth.authority.assertions import AssertionKey
from nmos_auth.authority.clients import Client, KnownClient, secret_digest
from nmos_auth.authority.redirect_uris import find_redirect_uri
from nmos_auth.authority.tokens import IssuedToken

__all__ = ["OAuthRequest", "Parameters", "Reach", "RegisteredClient", "TokenResponse"]


class Parameters(OAuth2Payload):
    """The parameters of a request; each has a value."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = dict(parameters)

    @property
    @override
    def data(self) -> dict[str, str]:
        """Each parameter with its value."""
        return self._parameters

    @property
    @override
    def datalist(self) -> dict[str, list[str]]:
        """Each parameter with its values; requests that repeat one are refused before."""
        return {name: [value] for name, value in self._parameters.items()}


class OAuthRequest(OAuth2Request):
    """A request as Authlib expects it.

    Attributes:
        peer: the address it came from, for the log.
        known_client_id: the client of the request, set once it is known to exist.
        assertion_keys: the keys that may verify a `client_assertion`.
    """

    payload: Parameters

    def __init__(
        self,
        *,
        method: str,
        endpoint: str,
        authorization: str | None,
        parameters: Mapping[str, str],
        peer: str,
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        super().__init__(method, endpoint, headers=headers)
        self.payload = Parameters(parameters)
        self.peer = peer
        self.known_client_id: str | None = None
        self.assertion_keys: Sequence[AssertionKey] = ()

    @property
    @override
    def form(self) -> dict[str, str]:
        """The parameters, under the name that Authlib's grants use."""
        return self.payload.data

    @classmethod
    def of(cls, request: OAuth2Request) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(request, cls):
            raise TypeError(f"{type(request).__name__} is not a request of this server")
        return request


class Reach(IntEnum):
    """Where the `jwks_uri` of a Client may be, which this server fetches on its behalf.

    A stranger must not make this server fetch what only this machine can reach. A client on this
    machine could fetch it itself; for such a client only the path is restricted.
    """

    ELSEWHERE = 0
    KEY_SETS_HERE = 1
    ANYWHERE = 2


class RegisteredClient(ClientMixin):
    """A Client in the form that Authlib requires.

    Args:
        client: the Client and what it may be granted.
        digest: the digest of its secret, or None.
        reach: where its `jwks_uri` may be.
    """

    def __init__(
        self, client: KnownClient, digest: bytes | None, *, reach: Reach = Reach.ANYWHERE
    ) -> None:
        self.client = client
        self.reach = reach
        self._digest = digest

    @classmethod
    def of_configured(cls, client: Client) -> Self:
        """Return a configured Client, with its secret, in this form."""
        secret = client.client_secret.get_secret_value()
        return cls(client, secret_digest(secret) if secret else None)

    @classmethod
    def of(cls, client: ClientMixin | None) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(client, cls):
            raise TypeError(f"{type(client).__name__} is not a client of this server")
        return client

    @override
    def __repr__(self) -> str:
        return f"<RegisteredClient {self.client.client_id}>"

    @override
    def get_client_id(self) -> str:
        """Return the client id."""
        return self.client.client_id

    # The stub has str; None tells Authlib that there is none, or that there are several.
    @override
    def get_default_redirect_uri(self) -> str | None:  # type: ignore[override]
        """Return the redirect URI if there is only one."""
        return self.redirect_uri(None)

    @override
    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether a request may name this redirect URI."""
        return self.redirect_uri(redirect_uri) is not None

    def redirect_uri(self, requested: str | None) -> str | None:
        """Return the redirect URI that a request means, or None."""
        return find_redirect_uri(requested, self.client.redirect_uris)

    @override
    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """Return the scope, which was decided before."""
        return scope if isinstance(scope, str) else " ".join(scope)

    @override
    def check_client_secret(self, client_secret: str) -> bool:
        """Compare in a time that reveals neither the secret nor its length."""
        same = compare_digest(secret_digest(client_secret), self._digest or bytes(32))
        return same and self._digest is not None

    @override
    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether this is the client's method, which is the same for every endpoint."""
        return method == self.client.token_endpoint_auth_method

    @override
    def check_response_type(self, response_type: str) -> bool:
        """Tell whether the client may use the authorization endpoint."""
        return response_type == "code" and self.check_grant_type("authorization_code")

    @override
    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use this grant."""
        return grant_type in self.client.grant_types


class TokenResponse(dict[str, str | int]):
    """The body of a token answer. Its `repr` shows no token, because Authlib's grants log it."""

    def __init__(self, issued: IssuedToken, refresh_token: str | None = None) -> None:
        super().__init__(
            access_token=issued.text,
            token_type="Bearer",  # noqa: S106
            expires_in=issued.lifetime,
            scope=str(issued.claims["scope"]),
        )
        if refresh_token is not None:
            self["refresh_token"] = refresh_token
        self.issued = issued

    @classmethod
    def of(cls, token: Mapping[str, str | int]) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(token, cls):
            raise TypeError(f"{type(token).__name__} is not a token of this server")
        return token

    @override
    def __repr__(self) -> str:
        return repr(self.issued)
