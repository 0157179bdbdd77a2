"""The syntax of an RQL query, without its meaning: calls, arrays and values.

The grammar is that of the normalised form, https://github.com/persvr/rql, with one addition: a word
may have any character except parentheses and commas without an escape.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus, unquote_to_bytes

from example_node.errors import BadRequestError

__all__ = ["Argument", "Array", "Call", "Value", "decoded", "of_parameter", "read"]

LONGEST = 32_768
DEEPEST = 16

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Value:
    """A word as it is written, with its escapes."""

    word: str


@dataclass(frozen=True, slots=True)
class Array:
    """Values in parentheses."""

    values: "Sequence[Argument]"


@dataclass(frozen=True, slots=True)
class Call:
    """An operator with its arguments, of which there is at least one."""

    name: str
    arguments: "Sequence[Argument]"


Argument = Call | Array | Value


def read(text: str) -> Argument:
    """Parse a query as it is written in a URL.

    Raises:
        BadRequestError: it is malformed, too long or nested too deep.
    """
    if len(text) > LONGEST:
        raise BadRequestError(f"An RQL query has no more than {LONGEST} characters here.")
    return _Parser(text).query()


def of_parameter(value: str) -> str:
    """Return the query of a URL's parameter, which keeps its own escapes.

    Some clients escape it once more as a whole, as is usual for parameters. Whatever is supported
    has a comma, by which the two are told apart.

    >>> of_parameter("eq%28label%2Cone%252C%20two%29")
    'eq(label,one%2C two)'
    """
    return value if "," in value else unquote_plus(value)


def decoded(word: str) -> str:
    """Decode the escapes of a word.

    Raises:
        BadRequestError: one is malformed, or what is escaped is not UTF-8.
    """
    if _ESCAPE.search(word):
        raise BadRequestError("An RQL query has a percent sign that begins no escape.")
    try:
        return unquote_to_bytes(word).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequestError("An RQL query is not UTF-8.") from None


class _Parser:
    """Reads `call = name "(" argument *( "," argument ) ")"` and what an argument may be."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def query(self) -> Argument:
        query = self._argument(0)
        if self._at < len(self._text):
            raise BadRequestError("An RQL query ends with its first call.", self._where())
        return query

    def _argument(self, depth: int) -> Argument:
        if depth > DEEPEST:
            raise BadRequestError(f"An RQL query is nested no deeper than {DEEPEST} here.")
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in "(),":
            self._at += 1
        word = self._text[start : self._at]
        if not self._is_at("("):
            return Value(word)
        arguments = [self._next_argument(depth)]
        while self._is_at(","):
            arguments.append(self._next_argument(depth))
        if not self._is_at(")"):
            raise BadRequestError("A parenthesis of an RQL query is not closed.", self._where())
        self._at += 1
        name = word.strip()
        return Call(name, arguments) if name else Array(arguments)

    def _next_argument(self, depth: int) -> Argument:
        self._at += 1
        return self._argument(depth + 1)

    def _is_at(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _where(self) -> str:
        return f"at character {self._at + 1}"
