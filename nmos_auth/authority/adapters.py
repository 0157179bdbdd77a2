"""Our clients, requests and answers in the shapes that Authlib asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Payload, OAuth2Request
from typing_extensions import override

from nmos_auth.authority.clients import Client
from nmos_auth.authority.tokens import IssuedToken

__all__ = [
    "RegisteredClient",
    "TokenRequest",
    "TokenRequestParameters",
    "TokenResponse",
]


class TokenRequestParameters(OAuth2Payload):
    """The parameters of a token request: each once, and none without a value."""

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
        """Each parameter with all its values."""
        return {name: [value] for name, value in self._parameters.items()}


class TokenRequest(OAuth2Request):
    """A token request as Authlib takes it.

    Attributes:
        peer: the address it came from, for the log.
        known_client_id: the client it was made for, set once that is known to exist.
    """

    payload: TokenRequestParameters

    def __init__(
        self,
        *,
        endpoint: str,
        authorization: str | None,
        parameters: Mapping[str, str],
        peer: str,
    ) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        super().__init__("POST", endpoint, headers=headers)
        self.payload = TokenRequestParameters(parameters)
        self.peer = peer
        self.known_client_id: str | None = None

    @classmethod
    def of(cls, request: OAuth2Request) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(request, cls):
            raise TypeError(f"{type(request).__name__} is no request of this server")
        return request


class RegisteredClient(ClientMixin):
    """A Client as Authlib asks about it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def of(cls, client: ClientMixin | None) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(client, cls):
            raise TypeError(f"{type(client).__name__} is no client of this server")
        return client

    @override
    def __repr__(self) -> str:
        return f"<RegisteredClient {self.client.client_id}>"

    @override
    def get_client_id(self) -> str:
        """Give the client id."""
        return self.client.client_id

    @override
    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client authenticates in this way."""
        return method == "client_secret_basic"

    @override
    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may use this grant at all."""
        return grant_type == "client_credentials" and bool(self.client.machine_scopes)


class TokenResponse(dict[str, str | int]):
    """The body of a token answer. Authlib's grants log its `repr`, which shows nothing of it."""

    def __init__(self, issued: IssuedToken) -> None:
        super().__init__(
            access_token=issued.text,
            token_type="Bearer",  # noqa: S106
            expires_in=issued.lifetime,
            scope=str(issued.claims["scope"]),
        )
        self.issued = issued

    @classmethod
    def of(cls, token: Mapping[str, str | int]) -> Self:
        """Narrow what Authlib hands back to what it was given."""
        if not isinstance(token, cls):
            raise TypeError(f"{type(token).__name__} is no token of this server")
        return token

    @override
    def __repr__(self) -> str:
        return repr(self.issued)
