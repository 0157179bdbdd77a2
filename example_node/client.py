"""This Node as a Client of Authorization Servers: for registration, and for receiving events."""

import nmos_auth
from example_node.settings import Settings
from nmos_auth.client import AuthMethod, AuthorizationClient, ClientSettings

JWKS_PATH = "/jwks"

# Scopes for which a Node may use the client_credentials grant (BCP-003-02 "Authorization Grant
# Constraints").
SCOPES = ("registration", "events")


def make_client(
    settings: Settings, auth_settings: nmos_auth.Settings, *, registers: bool
) -> AuthorizationClient | None:
    """Make the Client that gets the Node's own tokens; None if it does not need tokens.

    There is one Client for everything, because in a registry a Node's resources belong to the
    Client that registered them (BCP-003-02 "Registry Client Authorization").

    Args:
        settings: the Node's own settings.
        auth_settings: whether there is authorization, and where Authorization Servers are.
        registers: whether the Node registers itself; otherwise there is a Client only if
            NMOS_AUTH_CLIENT_NAME or NMOS_AUTH_CLIENT_ID is set.

    Raises:
        nmos_auth.NmosAuthError: a setting, or what it names, is not usable.
    """
    if not auth_settings.enabled:
        return None
    given = _settings(auth_settings)
    if not registers and given.name is None and given.id is None:
        return None
    advertised = settings.advertised
    known: dict[str, object] = {
        # "unique to each instance", as host and port are.
        "name": f"{settings.label} at {advertised.host}:{advertised.port}",
        "scope": SCOPES,
    }
    if given.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        known["jwks_uri"] = f"{settings.origin}{JWKS_PATH}"
    silent = {name: each for name, each in known.items() if name not in given.model_fields_set}
    return AuthorizationClient(_settings(auth_settings, **silent))


def _settings(auth_settings: nmos_auth.Settings, **values: object) -> ClientSettings:
    return ClientSettings(
        servers=auth_settings.servers,
        discovery=auth_settings.discovery,
        dns_domain=auth_settings.dns_domain,
        ca_file=auth_settings.ca_file,
        allow_http=auth_settings.allow_http,
        **values,
    )
