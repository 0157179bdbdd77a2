"""JSON from other programs, valid only with one meaning (RFC 8259; RFC 8725 Section 2.4)."""

from __future__ import annotations

import json
import math

import msgspec

__all__ = ["JsonObject", "parse_object"]

JsonObject = dict[str, object]

_DEEPEST = 16
# Bytes. Longer texts are documents of servers, which come seldom: if they are not plain, to find
# that out and to parse them again would take 20 ms.
_LONGEST_PLAIN = 32 * 1024
_WHITE_SPACE = " \t\n\r"
_NO_BRACKETS = bytes(set(range(256)).difference(b"[{"))


def parse_object(text: bytes, *, most_nested: int | None = None) -> JsonObject:
    """Parse a JSON object in UTF-8.

    Args:
        text: the object.
        most_nested: how many objects and arrays may be in it, each of which costs something to look
            at; brackets in strings are counted too. None for any number.

    Raises:
        ValueError: it is not UTF-8, not JSON or not an object; or it has a name twice, NaN or an
            infinite number, more than 16 levels, or a lone surrogate. The message quotes nothing.
    """
    brackets = len(text.translate(None, _NO_BRACKETS))
    if most_nested is not None and brackets > most_nested:
        raise ValueError("too many objects and arrays")
    value = _parse_plain(text) or _parse(text)
    if brackets > _DEEPEST and _is_deeper(value, _DEEPEST):
        raise ValueError("nested too deeply")
    return value


def _parse_plain(text: bytes) -> JsonObject | None:
    """Parse an object whose text has no escapes, or return None.

    msgspec is five times as fast as the standard library with a hook for each object, but keeps
    only the last of several members with one name. Without escapes, every quotation mark begins or
    ends a name or a string: so if no member is lost, the value is written with as many of them.
    """
    if b"\\" in text or len(text) > _LONGEST_PLAIN:
        return None
    try:
        value = _PLAIN_DECODER.decode(text)
        written = _PLAIN_ENCODER.encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return value if written.count(b'"') == text.count(b'"') else None


def _parse(text: bytes) -> JsonObject:
    try:
        json_text = text.decode("utf-8").strip(_WHITE_SPACE)
        value, end = _DECODER.raw_decode(json_text)
    except (ValueError, RecursionError):
        raise ValueError("not strict JSON") from None
    if end != len(json_text) or not isinstance(value, dict):
        raise ValueError("not a JSON object")
    if b"\\u" in text and _lone_surrogate(value):
        raise ValueError("lone surrogate")
    return value


def _distinct(pairs: list[tuple[str, object]]) -> JsonObject:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate name")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("infinite number")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# msgspec itself takes as long for a number such as 1e308 as for five hundred others.
_PLAIN_DECODER = msgspec.json.Decoder(dict[str, object], float_hook=_finite)
_PLAIN_ENCODER = msgspec.json.Encoder()
_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_float=_finite,
    parse_constant=_no_constant,
)


def _is_deeper(value: JsonObject | list[object], levels: int) -> bool:
    """Tell whether an object or an array is nested in more than so many levels."""
    if not levels:
        return True
    for each in value.values() if isinstance(value, dict) else value:
        # A comprehension would take four times as long; tokens for several APIs come here.
        if isinstance(each, (dict, list)) and _is_deeper(each, levels - 1):
            return True
    return False


def _lone_surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
