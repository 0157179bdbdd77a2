"""Reads a token as far as it can be read: for people, never for decisions."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ReadToken", "read_token"]


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A token's header and claims, which are not verified.

    Attributes:
        header: the header of the JWS; None if it cannot be read.
        claims: its payload; None if it cannot be read.
        trouble: what is wrong with its form; empty if it can be read.
    """

    header: Mapping[str, object] | None
    claims: Mapping[str, object] | None = field(repr=False)
    trouble: str

    def text_of(self, claim: str) -> str | None:
        """Return a claim that is a string, else None."""
        value = None if self.claims is None else self.claims.get(claim)
        return value if isinstance(value, str) else None


def read_token(text: str) -> ReadToken:
    """Read a token in compact serialisation (RFC 7515 Section 7.1), as leniently as possible."""
    parts = text.split(".")
    if len(parts) == 5:
        return ReadToken(
            None, None, "it is encrypted (five segments), but IS-10 requires signed tokens"
        )
    if len(parts) != 3:
        what = "an opaque token, not a JWT" if len(parts) == 1 else f"{len(parts)} segments, not 3"
        return ReadToken(None, None, f"it is {what}")
    header, trouble = _read_object(parts[0], "header")
    claims, further = _read_object(parts[1], "payload")
    return ReadToken(header, claims, trouble or further)


def _read_object(segment: str, name: str) -> tuple[Mapping[str, object] | None, str]:
    try:
        content = base64.urlsafe_b64decode(
            segment.rstrip("=") + "=" * (-len(segment.rstrip("=")) % 4)
        )
        value = json.loads(content)
    except (binascii.Error, ValueError, RecursionError):
        return None, f"its {name} is not base64url of JSON"
    if not isinstance(value, dict):
        return None, f"its {name} is not a JSON object"
    return value, ""
