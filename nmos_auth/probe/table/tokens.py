"""Tokens that rows of several subjects present."""

from __future__ import annotations

from nmos_auth.probe.mint import Mint
from nmos_auth.probe.rows import Maker

__all__ = ["by_stranger", "claims", "expired_token", "good_token", "reading", "with_header"]


def good_token(mint: Mint) -> str:
    """Make a token that may read all of the API."""
    return mint.token()


def expired_token(mint: Mint) -> str:
    """Make a token that expired a minute ago."""
    return mint.token(exp=int(mint.now()) - 60)


def claims(**changes: object) -> Maker:
    """Make a good token with changed claims; None leaves one out."""
    return lambda mint: mint.token(**changes)


def reading(*specifiers: object) -> Maker:
    """Make a token that may read what these specifiers match, and nothing else."""
    return lambda mint: mint.reading(*specifiers)


def with_header(**members: object) -> Maker:
    """Make a good token with a changed header; None leaves a member out."""
    return lambda mint: mint.signed(mint.claims(), header=members)


def by_stranger(**members: object) -> Maker:
    """Make a token with these header members, signed with a key that is not published."""
    return lambda mint: mint.signed(mint.claims(), header=members, key=mint.stranger)
