"""Sentences and meanings that rows of several subjects share."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, is_10, rfc

__all__ = [
    "ISSUERS_KEYS",
    "LESS",
    "MISSING_KEY",
    "MORE",
    "NO_CREDENTIALS",
    "OTHERS",
    "PERMISSIONS_OBJECT",
    "PROXY",
    "PUBLIC_KEYS",
    "UNVERIFIED",
]

PERMISSIONS_OBJECT = "Behaviour: Access Tokens, The Access Permissions Object"
PUBLIC_KEYS = "Behaviour: Resource Servers, Public keys"

NO_CREDENTIALS = is_10(
    "Behaviour: Resource Servers, Accessing Protected Resources",
    "a request without credentials is rejected",
)
UNVERIFIED = is_10(PUBLIC_KEYS, "a token that no key verifies is rejected")
MISSING_KEY = is_10(PUBLIC_KEYS, "a missing key is looked for at its issuer", Force.SHOULD)
ISSUERS_KEYS = rfc(8725, "3.8", "the key that verifies a token belongs to its issuer")

MORE = "Clients can do more than the operator granted."
LESS = "Clients cannot do what the operator granted."
OTHERS = "Tokens for another device open this one."
PROXY = "A proxy may check one token while the device uses another."
