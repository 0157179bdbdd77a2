"""Rows of forged and of good tokens, and how their headers are made."""

from __future__ import annotations

from nmos_auth.probe.rows import Maker, Row, Source, Suite
from nmos_auth.probe.table.statuses import INVALID, PERMITTED

__all__ = ["forged", "good"]

_TAKES_OVER = "Anyone who knows how can make tokens for this device, with any permission."


def forged(
    name: str,
    title: str,
    source: Source,
    token: Maker,
    meaning: str = _TAKES_OVER,
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
