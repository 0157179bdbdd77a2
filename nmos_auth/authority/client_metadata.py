"""The metadata that a Client registers (RFC 7591 Section 2, IS-10 "Client Registration").

Members that this server does not know are ignored, as RFC 7591 requires. Members that it knows but
does not accept are refused, so that a Client is not surprised later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Self

from authlib.oauth2.rfc6749 import OAuth2Error
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from nmos_auth.authority.adapters import Reach
from nmos_auth.authority.client_keys import check_jwks_uri
from nmos_auth.authority.clients import AuthenticationMethod, GrantType, KnownClient
from nmos_auth.authority.errors import InvalidClientMetadata, InvalidRedirectUri
from nmos_auth.authority.policy import RegistrationPolicy
from nmos_auth.authority.redirect_uris import check_redirect_uri
from nmos_auth.servers.strict_json import JsonObject

__all__ = ["ClientMetadata"]

_Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]

_MOST_REDIRECT_URIS = 20
_LARGEST_KEY_SET = 16 * 1024


def _default_grant_types() -> list[GrantType]:
    # RFC 7591 Section 2.
    return ["authorization_code"]


class ClientMetadata(BaseModel):
    """The metadata of a Client, with the fields of RFC 7591 Section 2."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, strict=True)

    client_name: _Name
    scope: _Text
    grant_types: list[GrantType] = Field(
        default_factory=_default_grant_types, min_length=1, max_length=8
    )
    token_endpoint_auth_method: AuthenticationMethod = "client_secret_basic"  # noqa: S105
    redirect_uris: list[str] = Field(default_factory=list, max_length=_MOST_REDIRECT_URIS)
    response_types: list[str] | None = Field(default=None, max_length=8)
    jwks_uri: _Text | None = None
    jwks: dict[str, object] | None = None
    client_uri: _Text | None = None
    logo_uri: _Text | None = None
    tos_uri: _Text | None = None
    policy_uri: _Text | None = None
    contacts: list[_Text] | None = Field(default=None, max_length=20)
    software_id: _Text | None = None
    software_version: _Text | None = None

    @field_validator("client_name")
    @classmethod
    def _printable(cls, value: str) -> str:
        # It is shown on the page on which users decide, and in the log.
        if not value.isprintable():
            raise ValueError("must be printable")
        return value

    @field_validator("redirect_uris")
    @classmethod
    def _acceptable(cls, value: list[str]) -> list[str]:
        for uri in value:
            check_redirect_uri(uri)
        return value

    @field_validator("jwks")
    @classmethod
    def _small(cls, value: dict[str, object] | None) -> dict[str, object] | None:
        if value is not None and len(json.dumps(value)) > _LARGEST_KEY_SET:
            raise ValueError("is too large")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if "authorization_code" not in self.grant_types:
            if "refresh_token" in self.grant_types:
                raise ValueError("grant_types: refresh_token requires authorization_code")
            return self
        if self.response_types is not None and "code" not in self.response_types:
            raise ValueError("response_types: must have code, which authorization_code requires")
        return self

    @classmethod
    def read(
        cls, document: JsonObject, policy: RegistrationPolicy, *, allow_http: bool, reach: Reach
    ) -> ClientMetadata:
        """Read a registration request.

        Args:
            document: the JSON object of the request.
            policy: what registered Clients may have.
            allow_http: allow http for a `jwks_uri` on loopback.
            reach: where a `jwks_uri` may be.

        Raises:
            OAuth2Error: `invalid_redirect_uri` or `invalid_client_metadata`; it names the field.
        """
        try:
            metadata = cls.model_validate(document)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = "".join(f"{name}: " for name in problem["loc"][:1])
            raise _refusal(place + problem["msg"].removeprefix("Value error, ")) from None
        metadata._check_keys(allow_http=allow_http, reach=reach)  # noqa: SLF001 - its own class
        metadata._check_against(policy)  # noqa: SLF001 - likewise
        return metadata

    def _check_against(self, policy: RegistrationPolicy) -> None:
        scopes = self.scope.split(" ")
        if not set(scopes) <= set(policy.permissions):
            raise _refusal("scope: must name APIs that this server grants, separated by spaces")
        if "authorization_code" in self.grant_types and not self.redirect_uris:
            raise InvalidRedirectUri("redirect_uris: authorization_code requires at least one")
        if "client_credentials" in self.grant_types:
            if self.token_endpoint_auth_method == "none":  # noqa: S105
                # IS-10 "Grants": it "MUST only be used by confidential clients".
                raise _refusal("grant_types: client_credentials is for confidential clients")
            if not policy.machine_scopes.intersection(scopes):
                raise _refusal("scope: has nothing that client_credentials may give here")
        try:
            self.known_client("x" * 20, policy)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(map(str, problem["loc"][:1]))
            raise _refusal(f"{place}: {problem['msg'].removeprefix('Value error, ')}") from None

    def _check_keys(self, *, allow_http: bool, reach: Reach) -> None:
        if self.jwks is not None and self.jwks_uri is not None:
            # RFC 7591 Section 2: they "MUST NOT both be present".
            raise _refusal("jwks_uri: must not be there beside jwks")
        if self.token_endpoint_auth_method != "private_key_jwt":  # noqa: S105
            return
        if self.jwks is None and self.jwks_uri is None:
            raise _refusal("jwks_uri: private_key_jwt requires it, or jwks")
        if self.jwks_uri is not None:
            try:
                check_jwks_uri(self.jwks_uri, allow_http=allow_http, reach=reach)
            except ValueError as error:
                raise _refusal(f"jwks_uri: {error}") from None

    def known_client(self, client_id: str, policy: RegistrationPolicy) -> KnownClient:
        """Return the Client that this describes, with what the policy permits now.

        Raises:
            pydantic.ValidationError: the policy permits nothing of it any more.
        """
        scopes = tuple(
            dict.fromkeys(each for each in self.scope.split(" ") if each in policy.permissions)
        )
        machine_scopes = policy.machine_scopes.intersection(scopes)
        uses_codes = "authorization_code" in self.grant_types
        return KnownClient(
            client_id=client_id,
            client_name=self.client_name,
            token_endpoint_auth_method=self.token_endpoint_auth_method,
            redirect_uris=tuple(self.redirect_uris) if uses_codes else (),
            jwks_uri=self.jwks_uri,
            jwks=self.jwks,
            audience=policy.audience,
            scopes=scopes,
            client_credentials_scopes=tuple(sorted(machine_scopes))
            if "client_credentials" in self.grant_types
            else (),
            permissions={scope: policy.permissions[scope] for scope in scopes},
        )

    def registered(self) -> Mapping[str, object]:
        """Return "all registered metadata about this client" (RFC 7591 Section 3.2.1).

        It says what is granted instead of what was requested: some clients request every response
        type that they know, `code` and `token`.
        """
        metadata = self.model_dump(exclude_none=True)
        if "authorization_code" in self.grant_types:
            # IS-10: refresh tokens come with every authorization.
            metadata["grant_types"] = list(dict.fromkeys([*self.grant_types, "refresh_token"]))
            metadata["response_types"] = ["code"]
        else:
            asked = self.response_types or []
            metadata["response_types"] = [each for each in asked if each == "none"]
        return metadata


def _refusal(description: str) -> OAuth2Error:
    # RFC 6749 Section 5.2 does not allow quotation marks and backslashes in a description.
    text = description.replace('"', "'").replace("\\", "/")
    if text.startswith("redirect_uris"):
        return InvalidRedirectUri(text)
    return InvalidClientMetadata(text)
