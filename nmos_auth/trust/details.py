"""Why a token's issuer or key was refused, in words for the audit log."""

from __future__ import annotations

from collections.abc import Iterable

from nmos_auth.errors import Detail
from nmos_auth.rules.tokens import SignedToken
from nmos_auth.trust.issuers import Issuer

__all__ = ["clock_detail", "lacking_key", "unknown_issuer"]

# Seconds. Below that, the network and whole seconds explain a difference.
_NOTICEABLE = 2.0


def unknown_issuer(iss: str, members: Iterable[Issuer]) -> Detail:
    """Return the detail for an issuer that is not trusted.

    Args:
        iss: the token's claim.
        members: the trusted issuers.
    """
    urls = tuple(each.url.text for each in members if each.is_member)
    return Detail.of("iss is {}, and the trusted issuers are {}", iss, urls)


def lacking_key(issuer: Issuer, signed: SignedToken) -> Detail:
    """Return the detail for a token that no held key verifies, and why no more keys are held.

    Args:
        issuer: the token's.
        signed: the token.
    """
    words = "the token's kid is {}, and {} has the keys {}"
    if not issuer.is_fetched:
        words += "; they stand in NMOS_AUTH_STATIC_KEYS_FILE"
    kids = tuple([key.kid or "a key without kid" for key in issuer.keys])
    detail = Detail.of(words, signed.kid, issuer.url.text, kids)
    if issuer.error is not None:
        return detail.plus("the last fetch gave none: {}", issuer.error)
    return detail


def clock_detail(detail: Detail | None, issuer: Issuer | None) -> Detail | None:
    """Return a complaint about time, with how far the issuer's clock differs from this machine's.

    Args:
        detail: the complaint.
        issuer: the token's, where it is known.
    """
    ahead = None if issuer is None else issuer.clock_offset
    if detail is None or ahead is None or abs(ahead) < _NOTICEABLE:
        return detail
    where = "ahead of" if ahead > 0 else "behind"
    return detail.plus(f"the issuer's clock is {{}} s {where} this server's", round(abs(ahead), 1))
