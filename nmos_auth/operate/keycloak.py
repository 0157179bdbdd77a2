"""A Keycloak realm that issues IS-10 tokens, as the JSON that Keycloak imports. Pure functions.

The members are those of a realm export (Keycloak Server Administration Guide, "Importing and
exporting realms"). A realm that names client scopes does not get the built-in ones. So it includes
`basic`, which adds `sub` to tokens since version 25.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from nmos_auth.errors import ConfigurationError
from nmos_auth.rules.audience import host_pattern

__all__ = ["PERMISSIONS", "keycloak_realm", "read_permissions"]

Permissions = Mapping[str, Mapping[str, list[str]]]

PERMISSIONS: Final[Permissions] = {
    "node": {"read": ["*"]},
    "connection": {"read": ["*"], "write": ["*"]},
    "events": {"read": ["*"]},
    "channelmapping": {"read": ["*"], "write": ["*"]},
    "query": {"read": ["*"], "write": ["subscriptions", "subscriptions/*"]},
    "registration": {"read": ["*"], "write": ["*"]},
}
"""The permissions that a client gets by default with each scope that it requests."""

_POLICY = "org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy"
_LIFETIME = 300
_MOST_CLIENTS = 200


def read_permissions(text: str) -> Permissions:
    """Read a table of permissions, with the lists `read` and `write` for each API.

    Args:
        text: JSON, for example `{"connection": {"read": ["*"], "write": ["single/*"]}}`.

    Raises:
        ConfigurationError: it is not such a table.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the permissions are not JSON: {error}") from None
    if not isinstance(table, dict) or not table:
        raise ConfigurationError(
            'the permissions are not an object: write {"node": {"read": ["*"]}}'
        )
    for api, granted in table.items():
        if not isinstance(granted, dict) or not granted.keys() <= {"read", "write"}:
            raise ConfigurationError(f"permissions of {api!r}: write an object of read and write")
        for verb, specifiers in granted.items():
            strings = isinstance(specifiers, list) and all(
                isinstance(each, str) for each in specifiers
            )
            if not strings:
                raise ConfigurationError(f"{verb} of {api!r}: write a list of path specifiers")
    return table


def keycloak_realm(
    name: str, audience: Iterable[str], permissions: Permissions, *, hosts: Iterable[str] = ()
) -> dict[str, object]:
    """Return a realm: RS512, a client scope for each API with its claim, audiences, policies.

    Args:
        name: the name of the realm.
        audience: the `aud` of tokens: `https://*.example.com` for all Nodes below example.com.
        permissions: `read` and `write` for each API.
        hosts: the hosts from which clients may register without a token.

    Raises:
        ConfigurationError: an audience is not a host name.
    """
    entries = list(audience)
    for entry in entries:
        if host_pattern(entry) is None:
            raise ConfigurationError(f"{entry!r} is not a host name, with a scheme or without")
    scopes = [_basic_scope(), *(_api_scope(api, permissions[api], entries) for api in permissions)]
    return {
        "realm": name,
        "enabled": True,
        "sslRequired": "all",
        "defaultSignatureAlgorithm": "RS512",
        "accessTokenLifespan": _LIFETIME,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "clientScopes": scopes,
        "defaultDefaultClientScopes": ["basic"],
        "defaultOptionalClientScopes": list(permissions),
        "components": {
            "org.keycloak.keys.KeyProvider": [
                {
                    "name": "rsa-rs512",
                    "providerId": "rsa-generated",
                    "subComponents": {},
                    "config": {"priority": ["200"], "algorithm": ["RS512"], "keySize": ["2048"]},
                }
            ],
            _POLICY: _policies(list(permissions), list(hosts)),
        },
    }


def _mapper(name: str, kind: str, config: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "consentRequired": False,
        "config": {"access.token.claim": "true", "introspection.token.claim": "true", **config},
    }


def _basic_scope() -> dict[str, object]:
    return {
        "name": "basic",
        "description": "Claims that every access token needs",
        "protocol": "openid-connect",
        "attributes": {"include.in.token.scope": "false", "display.on.consent.screen": "false"},
        "protocolMappers": [_mapper("sub", "oidc-sub-mapper", {})],
    }


def _api_scope(
    api: str, granted: Mapping[str, list[str]], audience: Iterable[str]
) -> dict[str, object]:
    claim = {
        # A dot would make a claim within a claim; names of APIs do not have one.
        "claim.name": f"x-nmos-{api}",
        "claim.value": json.dumps(granted),
        # The default, `String`, would turn the object into a text, which grants nothing.
        "jsonType.label": "JSON",
        "id.token.claim": "false",
        "userinfo.token.claim": "false",
    }
    audiences = (
        _mapper(
            f"audience {entry}",
            "oidc-audience-mapper",
            {"included.custom.audience": entry, "id.token.claim": "false"},
        )
        for entry in audience
    )
    return {
        "name": api,
        "description": f"The NMOS API {api}",
        "protocol": "openid-connect",
        "attributes": {"include.in.token.scope": "true", "display.on.consent.screen": "true"},
        "protocolMappers": [
            _mapper(f"x-nmos-{api}", "oidc-hardcoded-claim-mapper", claim),
            *audiences,
        ],
    }


def _policies(scopes: list[str], hosts: list[str]) -> list[dict[str, object]]:
    """Return the policies for registration: clients of these hosts, and those with a token."""

    def policy(
        name: str, provider: str, kind: str, config: Mapping[str, list[str]]
    ) -> dict[str, object]:
        return {
            "name": name,
            "providerId": provider,
            "subType": kind,
            "subComponents": {},
            "config": config,
        }

    trusted = {
        "trusted-hosts": hosts,
        "host-sending-registration-request-must-match": ["true"],
        "client-uris-must-match": ["true"],
    }
    return [
        policy("Trusted Hosts", "trusted-hosts", "anonymous", trusted),
        policy("Max Clients", "max-clients", "anonymous", {"max-clients": [str(_MOST_CLIENTS)]}),
        policy("Full Scope Disabled", "scope", "anonymous", {}),
        *(
            policy(
                "Allowed Client Scopes",
                "allowed-client-templates",
                kind,
                {"allow-default-scopes": ["true"], "allowed-client-scopes": scopes},
            )
            for kind in ("anonymous", "authenticated")
        ),
    ]
