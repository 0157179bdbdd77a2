"""The values of an RQL query, and which values of a resource they match."""

import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from example_node.errors import BadRequestError, NotProvidedError
from example_node.registry.rql.syntax import Value, decoded

__all__ = ["Values", "type_of"]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,29})(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_RATIONAL = re.compile(r"(-?[0-9]{1,18})(?:/([0-9]{1,18}))?")
_BOOLEANS: Final = {"true": True, "false": False}

# Types of other implementations, which have their own comparisons.
_OTHER_TYPES = frozenset(
    {"RE", "api_version", "date", "epoch", "glob", "re", "sampling", "version"}
)


Members = set[tuple[str, object]]


class Values:
    """A set of values.

    A value without a type has every type that it can have: `1` is the number and the text, as
    in Basic Queries.

    Attributes:
        members: the values, each with the name of its type.
    """

    def __init__(self) -> None:
        self.members: Members = set()

    def add(self, value: Value) -> None:
        """Add a value of a query.

        Raises:
            BadRequestError: it does not have the type that it names.
            NotProvidedError: the type is not supported here.
        """
        kind, word = type_of(value)
        if kind in _OTHER_TYPES:
            raise NotProvidedError("This type of RQL value is not supported.", kind)
        self.members |= _READERS[kind](decoded(word))

    def update(self, other: "Values") -> None:
        """Add all values of another set."""
        self.members |= other.members

    def __contains__(self, value: object) -> bool:
        """Tell whether a value of a resource is among them."""
        return _member(value) in self.members


def _member(value: object) -> tuple[str, object]:
    if isinstance(value, str):
        return "string", value
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, (int, float)):
        return "number", value
    if isinstance(value, Mapping):
        return "rational", _rational_of(value)
    return "null", None


def _rational_of(value: Mapping[str, object]) -> Fraction | None:
    numerator, denominator = value.get("numerator"), value.get("denominator", 1)
    if isinstance(numerator, int) and isinstance(denominator, int) and denominator:
        return Fraction(numerator, denominator)
    return None


def _read_any(text: str) -> Members:
    members: Members = {("string", text)}
    if text == "null":
        members.add(("null", None))
    elif text in _BOOLEANS:
        members.add(("boolean", _BOOLEANS[text]))
    elif _NUMBER.fullmatch(text):
        members.add(("number", json.loads(text)))
    return members


def _read_string(text: str) -> Members:
    return {("string", text)}


def _read_number(text: str) -> Members:
    if not _NUMBER.fullmatch(text):
        raise BadRequestError("An RQL value of type number is not a number.", text[:40])
    return {("number", json.loads(text))}


def _read_boolean(text: str) -> Members:
    if text not in _BOOLEANS:
        raise BadRequestError("An RQL value of type boolean is true or false.", text[:40])
    return {("boolean", _BOOLEANS[text])}


def _read_rational(text: str) -> Members:
    match = _RATIONAL.fullmatch(text)
    if match is None or (match[2] and int(match[2]) == 0):
        raise BadRequestError("An RQL value of type rational is not one: 30000/1001.", text[:40])
    return {("rational", Fraction(int(match[1]), int(match[2] or 1)))}


_READERS: Final[Mapping[str, Callable[[str], Members]]] = {
    "": _read_any,
    "string": _read_string,
    "number": _read_number,
    "boolean": _read_boolean,
    "rational": _read_rational,
}


def type_of(value: Value) -> tuple[str, str]:
    """Return the type of a value, which may be empty, and the rest of the word.

    Many clients do not escape the colons of a URN; then the part before the first is not a type.
    """
    kind, colon, rest = value.word.partition(":")
    if colon and (kind in _READERS or kind in _OTHER_TYPES):
        return kind, rest
    return "", value.word
