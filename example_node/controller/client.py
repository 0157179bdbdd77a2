"""The Controller as a Client of Authorization Servers: its users log in there."""

from example_node.controller.settings import Settings
from nmos_auth.client import AuthMethod, AuthorizationClient, ClientSettings, Grant

JWKS_PATH = "/jwks"
CALLBACK = "/callback/{server}"
SCOPES = ("query", "connection", "events", "channelmapping")
REQUIRED = ("query",)
"""Without it there is nothing to see; what else a user does not authorize is refused later."""


def make_client(settings: Settings) -> AuthorizationClient:
    """Make what users log in with, by NMOS_AUTH_CLIENT_* and what follows from the settings.

    It is a confidential client with a key pair, whose public keys are at `/jwks`, unless
    NMOS_AUTH_CLIENT_AUTH_METHOD sets another method; `none` makes it a public one.

    Raises:
        nmos_auth.NmosAuthError: a setting, or what it names, is not usable.
    """
    given = ClientSettings(grant=Grant.AUTHORIZATION_CODE)
    advertised = settings.advertised
    known: dict[str, object] = {
        "name": f"{settings.label} at {advertised.host}:{advertised.port}",
        "scope": SCOPES,
        # One for each server (RFC 9700 Section 4.4.2).
        "redirect_uri": f"{settings.origin}{CALLBACK}",
    }
    if given.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        known["jwks_uri"] = f"{settings.origin}{JWKS_PATH}"
    silent = {name: each for name, each in known.items() if name not in given.model_fields_set}
    return AuthorizationClient(ClientSettings(grant=Grant.AUTHORIZATION_CODE, **silent))
