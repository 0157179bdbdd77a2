"""Checks that members of JSON documents have the right type."""

from __future__ import annotations

import math
import re

from pydantic import SecretStr

__all__ = ["hidden", "moment", "optional", "quoted_moment", "text"]

# Seconds: the end of the year 9999, beyond which Python has no dates.
_FARTHEST = 253402300799


def text(value: object) -> str:
    """Return a string.

    Raises:
        ValueError: it is not a string.
    """
    if not isinstance(value, str):
        raise ValueError("not a string")  # noqa: TRY004 - like every other value that is wrong
    return value


def optional(value: object) -> str | None:
    """Return a string, or None for None.

    Raises:
        ValueError: it is something else.
    """
    return None if value is None else text(value)


def hidden(value: object) -> SecretStr | None:
    """Return a string that is a secret, or None where there is none.

    Raises:
        ValueError: it is something else.
    """
    secret = optional(value)
    return SecretStr(secret) if secret else None


def moment(value: object) -> float:
    """Return a number of seconds, limited to times that Python can represent.

    JSON allows whole numbers of any size, and more digits than a float can hold.

    Raises:
        ValueError: it is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number of seconds")  # noqa: TRY004 - like every other value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(max(-_FARTHEST, min(value, _FARTHEST)))


def quoted_moment(value: object) -> float:
    """Return a number of seconds, which some servers write as a string.

    Raises:
        ValueError: it is not a finite number.
    """
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
        value = int(value)
    return moment(value)
