"""Sentences and meanings that rows of several subjects share."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, is_10, practice, rfc

__all__ = [
    "ACCESSING",
    "ALWAYS_PUBLIC",
    "ANYBODY",
    "ANY_SERVER",
    "ASKS_ANYBODY",
    "BOTH_WAYS",
    "CORS",
    "DEPTH",
    "EVENTS_AUTHORIZATION",
    "HANDSHAKE",
    "ISSUERS_KEYS",
    "LESS",
    "MISSING_KEY",
    "MORE",
    "NO_CREDENTIALS",
    "OTHERS",
    "OTHER_SPELLING",
    "PATHS",
    "PERMISSIONS_OBJECT",
    "PROXY",
    "PUBLIC_KEYS",
    "READERS_WRITE",
    "READING",
    "RUBBISH",
    "TWO_WAYS",
    "UNVERIFIED",
    "WEBSOCKET",
]

ACCESSING = "Behaviour: Resource Servers, Accessing Protected Resources"
CORS = "APIs: Server Side Implementation Notes"
EVENTS_AUTHORIZATION = "IS-07 - Event and Tally, WebSocket Authorization"
PATHS = "Behaviour: Resource Servers, Path Validation"
PERMISSIONS_OBJECT = "Behaviour: Access Tokens, The Access Permissions Object"
PUBLIC_KEYS = "Behaviour: Resource Servers, Public keys"
WEBSOCKET = "Behaviour: Resource Servers, Operation with WebSocket"

NO_CREDENTIALS = is_10(ACCESSING, "a request without credentials is rejected")
ALWAYS_PUBLIC = is_10(PATHS, "`/` and `/x-nmos` may always be read")
READING = is_10(PERMISSIONS_OBJECT, "`read` is GET, OPTIONS and HEAD", Force.STATED)
UNVERIFIED = is_10(PUBLIC_KEYS, "a token that no key verifies is rejected")
MISSING_KEY = is_10(PUBLIC_KEYS, "a missing key is looked for at its issuer", Force.SHOULD)
ISSUERS_KEYS = rfc(8725, "3.8", "the key that verifies a token belongs to its issuer")
HANDSHAKE = is_10(WEBSOCKET, "the token of a handshake is validated like that of any request")
BOTH_WAYS = is_10(WEBSOCKET, "a token is accepted in the header and in the query")
DEPTH = practice("no depth of JSON makes a server fail")

ANYBODY = "Anybody on the network can use this API."
ANY_SERVER = "Anyone who runs a server can make tokens for this device."
ASKS_ANYBODY = "A stranger can make the device send requests to any address of the plant's network."
LESS = "Clients cannot do what the operator granted."
MORE = "Clients can do more than the operator granted."
RUBBISH = "A text that is not a valid token opens the API."
OTHERS = "Tokens for another device open this one."
OTHER_SPELLING = "With another spelling, a client reaches paths that were not granted to it."
PROXY = "A proxy may check one token while the device uses another."
READERS_WRITE = "Clients that may only read can also write."
TWO_WAYS = "Two servers may read the same token differently."
