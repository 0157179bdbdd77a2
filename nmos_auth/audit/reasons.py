"""A table for people: what each reason in the audit log means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nmos_auth.errors import AuthorizationError, Detail, Reason

__all__ = ["EXPLANATIONS", "Explanation", "detail_of", "page"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means.

    Attributes:
        status: the status of the answer; None if the application chooses it.
        meaning: what was found, in a sentence.
        cure: what to change and where; "" if nothing is wrong.
    """

    status: int | None
    meaning: str
    cure: str = ""


EXPLANATIONS: Mapping[Reason, Explanation] = {
    Reason.PUBLIC: Explanation(None, "GET or HEAD of / or /x-nmos, which everybody may read."),
    Reason.OPTIONS: Explanation(None, "An OPTIONS request, which needs no token."),
    Reason.PREFLIGHT: Explanation(200, "A browser asked whether its page may send the request."),
    Reason.PERMITTED: Explanation(None, "The token permits the request."),
    Reason.IDENTIFIED: Explanation(
        None,
        "The path needs no token, and its handler asked for one: it is valid and names this"
        " server.",
    ),
    Reason.SOURCES: Explanation(
        None,
        "The subscription command of an IS-07 WebSocket. It is rejected where the token does not"
        " permit to read every source that it names.",
        "Where it is rejected, let the Authorization Server add the sources to `read` of the claim"
        " `x-nmos-events`, as `sources/ID` or `sources/*`.",
    ),
    Reason.HANDLER: Explanation(
        None,
        "The application refused the request after the token was accepted.",
        "Look into the application: it raised the error for a rule of its own.",
    ),
    Reason.TARGET: Explanation(
        400,
        "The path has no canonical form: it could mean one thing to the check and another to the"
        " application.",
        "Have the client write the path without escaped slashes, backslashes, `//` and control"
        " characters, in UTF-8.",
    ),
    Reason.NO_CREDENTIALS: Explanation(
        401,
        "The request has no `Authorization` header.",
        "Have the client get an access token and send `Authorization: Bearer TOKEN`.",
    ),
    Reason.OTHER_SCHEME: Explanation(
        401,
        "The `Authorization` header uses a scheme other than Bearer, for instance Basic.",
        "Have the client send `Authorization: Bearer TOKEN`. Look for a proxy that puts its own"
        " credentials there.",
    ),
    Reason.MALFORMED_CREDENTIALS: Explanation(
        400,
        "The text after `Bearer`, or in the query, is not a token.",
        "Have the client send the token as it came, without quotes, line ends or spaces.",
    ),
    Reason.REPEATED_CREDENTIALS: Explanation(
        400,
        "The request has the token more than once, in headers or in the query.",
        "Have the client, or the proxy in between, send one of them.",
    ),
    Reason.STRUCTURE: Explanation(
        401,
        "The token is not a JWT of three base64url parts, or is longer than 16 KiB.",
        "Check that the client sends an access token, not a refresh token or an opaque token. Set"
        " the Authorization Server to issue JWTs.",
    ),
    Reason.HEADER: Explanation(
        401,
        "The token's header names an algorithm other than RS512, a type other than JWT, or an"
        " extension.",
        "Set the Authorization Server to sign with RS512: in Keycloak, Realm settings, Tokens,"
        " Default signature algorithm, or the same setting of the client under Advanced.",
    ),
    Reason.CLAIMS: Explanation(
        401,
        "A claim that IS-10 requires is missing from the token, or a claim has the wrong type.",
        "Have the Authorization Server add it: `iss`, `sub`, `aud`, `exp`, and `client_id` or"
        " `azp`. Keycloak from version 25 has `sub` only with the client scope `basic`.",
    ),
    Reason.EXPIRED: Explanation(
        401,
        "The token's time is over.",
        "Have the client get a new token before the old one expires. If it just did, compare the"
        " clocks of this server and the Authorization Server.",
    ),
    Reason.ISSUED_IN_FUTURE: Explanation(
        401,
        "By this server's clock the token was issued in the future.",
        "Set both clocks by the same time source. `NMOS_AUTH_LEEWAY` allows for a second or two.",
    ),
    Reason.NOT_YET_VALID: Explanation(
        401,
        "By this server's clock the token is not valid yet.",
        "Set both clocks by the same time source. `NMOS_AUTH_LEEWAY` allows for a second or two.",
    ),
    Reason.UNTRUSTED_ISSUER: Explanation(
        401,
        "This server does not trust the Authorization Server that issued the token.",
        "If it should, add the token's `iss`, exactly as it is, to `NMOS_AUTH_SERVERS` or"
        " `NMOS_AUTH_TRUSTED_ISSUERS`. Otherwise have the client get its token elsewhere.",
    ),
    Reason.SIGNATURE: Explanation(
        401,
        "No key of a trusted Authorization Server verifies the token.",
        "Have the client get a new token. If that does not help, check whether the server publishes"
        " the key with which it signs at its `jwks_uri`, and whether the token was changed.",
    ),
    Reason.KEYS_PENDING: Explanation(
        503,
        "The key of the token is not held yet, and is being fetched.",
        "Have the client try again after `Retry-After`. If the answer stays the same, look for"
        " warnings about the Authorization Server in the log `nmos_auth`.",
    ),
    Reason.KEYS_NEVER_HAD: Explanation(
        503,
        "No key of the token's issuer has been fetched since the start.",
        "Check whether this server can reach the Authorization Server: name, port, firewall,"
        " `NMOS_AUTH_CA_FILE`. The log `nmos_auth` has the error of each attempt.",
    ),
    Reason.AUDIENCE: Explanation(
        403,
        "The token is valid, but its `aud` does not name this server.",
        "Have the Authorization Server put this server's name, or a wildcard such as"
        " `*.example.com`, into `aud`; or add the name that is there to `NMOS_AUTH_AUDIENCE`.",
    ),
    Reason.METHOD: Explanation(
        403,
        "The HTTP method is neither one that reads nor one that writes.",
        "Have the client use GET, HEAD, POST, PUT, PATCH or DELETE.",
    ),
    Reason.PERMISSION: Explanation(
        403,
        "The token is valid, but does not permit this verb on this path of this API.",
        "Have the Authorization Server add a path specifier that matches to `read` or `write` of"
        " the claim `x-nmos-API`, and have the client request the scope of that API.",
    ),
    Reason.OWNER: Explanation(
        403,
        "The Node, or the resource that it belongs to, was registered by another client.",
        "Have the client that registered it change it, or wait until it has expired. A device that"
        " lost its registration is another client: keep `NMOS_AUTH_CLIENT_STORE`.",
    ),
    Reason.UNFIT: Explanation(
        400,
        "The resource that was to be registered is malformed, or what it belongs to is not"
        " registered.",
        "Have the client register the Node first, then its Devices, and then what belongs to them.",
    ),
    Reason.FULL: Explanation(
        400,
        "The client has registered as many resources as this Registry lets a client have.",
        "Have it delete what it no longer has, or raise `most_per_client` in the code that makes"
        " the Registry's owners.",
    ),
    Reason.OWNERS: Explanation(
        503,
        "The store of owners does not answer.",
        "Check whether the Redis server of this Registry is up and reachable.",
    ),
}


def detail_of(error: AuthorizationError) -> Detail:
    """Return what exactly was wrong, or what the reason means if there is no detail."""
    return error.detail or _MEANINGS[error.reason]


_MEANINGS = {reason: Detail(each.meaning) for reason, each in EXPLANATIONS.items()}

_HEAD = """\
# Reasons in the audit log

Each line of the audit log has a `reason`, one of these, and in `detail` what exactly was wrong:
for example the claim, the seconds, or the names that were compared. An answer never says more than
its status.
"""


def page() -> str:
    """Return docs/reasons.md: every reason with its meaning and its cure."""
    parts = [_HEAD]
    for reason in Reason:
        explanation = EXPLANATIONS[reason]
        status = f" ({explanation.status})" if explanation.status else ""
        parts.append(f"\n## {reason}{status}\n\n{explanation.meaning}\n")
        if explanation.cure:
            parts.append(f"\n{explanation.cure}\n")
    return "".join(parts)
