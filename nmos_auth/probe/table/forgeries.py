"""Rows of forged and of good tokens, and how their headers are made."""

from __future__ import annotations

from nmos_auth.probe.rows import Maker, Row, Source, Suite
from nmos_auth.probe.table.statuses import INVALID, PERMITTED

__all__ = ["NO_JWT", "TAKES_OVER", "TWO_WAYS", "by_stranger", "forged", "good", "with_header"]

TAKES_OVER = "Anyone who knows how can make tokens for this device, with any permission."
TWO_WAYS = "Two servers may read the same token differently."
NO_JWT = "A text that is not a valid token opens the API."


def forged(
    name: str,
    title: str,
    source: Source,
    token: Maker,
    meaning: str = TAKES_OVER,
    *,
    warns: frozenset[int] = frozenset({400, 403}),
) -> Row:
    """Return a row whose token must be answered 401."""
    return Row(
        f"jose-{name}",
        Suite.JOSE,
        title,
        source,
        INVALID,
        meaning,
        warns=warns,
        token=token,
        forged=True,
    )


def good(name: str, title: str, source: Source, token: Maker, meaning: str) -> Row:
    """Return a row whose token is good, but written in an unusual way."""
    return Row(
        f"jose-{name}", Suite.JOSE, title, source, PERMITTED, meaning, warns=INVALID, token=token
    )


def with_header(**members: object) -> Maker:
    """Make a good token with a changed header; None leaves a member out."""
    return lambda mint: mint.signed(mint.claims(), header=members)


def by_stranger(**members: object) -> Maker:
    """Make a token with these header members, signed with a key that is not published."""
    return lambda mint: mint.signed(mint.claims(), header=members, key=mint.stranger)
