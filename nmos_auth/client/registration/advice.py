"""What can be wrong at the Client when a server does not authenticate it. Pure."""

from __future__ import annotations

from nmos_auth.client.registration.registrations import Registration
from nmos_auth.client.settings import PREFIX, AuthMethod, ClientSettings

__all__ = ["advice_for"]

# Seconds by which clocks may differ before servers refuse assertions.
_CLOCKS_DIFFER = 5


def advice_for(
    registration: Registration, settings: ClientSettings, *, ahead: float, key: str | None
) -> tuple[str, str | None]:
    """Return what to check when a server has answered `invalid_client`.

    Args:
        registration: the registration that was used.
        settings: the Client's settings.
        ahead: seconds by which this machine's clock is ahead of the server's.
        key: the `kid` of the key that signed, or None.

    Returns:
        The advice, and the variable that it concerns most, or None.
    """
    if registration.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        advice = (
            f"check that the server can fetch {settings.jwks_uri or 'the keys of this client'}"
            f" ({PREFIX}JWKS_URI) and finds the key {key} there"
        )
        if abs(ahead) >= _CLOCKS_DIFFER:
            side = "ahead of" if ahead > 0 else "behind"
            clock = f"this machine's clock is {abs(ahead):.0f} s {side} the server's"
            advice = f"{clock}; set it, or {advice}"
        return advice, f"{PREFIX}JWKS_URI"
    if registration.manual:
        if registration.auth_method is AuthMethod.NONE:
            return f"check {PREFIX}ID and {PREFIX}AUTH_METHOD", f"{PREFIX}ID"
        return f"check {PREFIX}ID and {PREFIX}SECRET", f"{PREFIX}SECRET"
    return f"the server may have lost the registration of {registration.client_id}", None
