"""The conditions for a resource, made from an RQL query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from example_node.errors import BadRequestError, NotProvidedError
from example_node.registry.paths import Data, values_at
from example_node.registry.rql.patterns import Pattern, PatternError, UnsupportedPatternError
from example_node.registry.rql.syntax import Argument, Array, Call, Value, decoded, read
from example_node.registry.rql.values import Values, type_of

__all__ = ["Expression", "parse"]

MOST_CONDITIONS = 64
"""The most conditions of a query; in an `or`, all `eq` and `in` of the same path are one."""


class Expression(Protocol):
    """A condition for a resource."""

    def matches(self, data: Data) -> bool:
        """Tell whether a resource meets it."""
        ...


def parse(text: str) -> Expression:
    """Parse a query as it is written in a URL, with its escapes.

    Raises:
        BadRequestError: it is malformed, or too complex.
        NotProvidedError: it has an operator, or a type of value, that is not supported here.

        >>> parse("and(in(tags.location,(Salford,London)),matches(label,string:cam,i))")
        ... # doctest: +SKIP
    """
    expression, conditions = _expression(read(text))
    if conditions > MOST_CONDITIONS:
        raise BadRequestError(f"An RQL query has no more than {MOST_CONDITIONS} conditions here.")
    return expression


@dataclass(frozen=True, slots=True)
class _All:
    parts: Sequence[Expression]

    def matches(self, data: Data) -> bool:
        return all(part.matches(data) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Any:
    parts: Sequence[Expression]

    def matches(self, data: Data) -> bool:
        return any(part.matches(data) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Not:
    part: Expression

    def matches(self, data: Data) -> bool:
        return not self.part.matches(data)


@dataclass(frozen=True, slots=True)
class _OneOf:
    """A value at a path is one of these."""

    path: str
    values: Values

    def matches(self, data: Data) -> bool:
        absent = True
        for value in values_at(data, self.path):
            if value in self.values:
                return True
            absent = False
        return absent and None in self.values


@dataclass(frozen=True, slots=True)
class _Matches:
    """The pattern matches a text at a path."""

    path: str
    pattern: Pattern

    def matches(self, data: Data) -> bool:
        return any(
            isinstance(value, str) and self.pattern.is_found_in(value)
            for value in values_at(data, self.path)
        )


def _expression(query: Argument) -> tuple[Expression, int]:
    """Return the condition of a call, and the number of conditions in it."""
    if not isinstance(query, Call):
        raise BadRequestError("RQL is written in its normalised form here, as eq(label,one).")
    arguments = query.arguments
    match query.name:
        case "and":
            parts = [_expression(each) for each in arguments]
            return _All([part for part, _ in parts]), sum(conditions for _, conditions in parts)
        case "or":
            return _any(arguments)
        case "not":
            _count(query, 1, 1)
            part, conditions = _expression(arguments[0])
            return _Not(part), conditions
        case "eq" | "ne":
            _count(query, 2, 2)
            wanted = _OneOf(_path(arguments[0]), _values([arguments[1]]))
            return wanted if query.name == "eq" else _Not(wanted), 1
        case "in":
            _count(query, 2, 2)
            if not isinstance(arguments[1], Array):
                raise BadRequestError("in() has its values in parentheses: in(label,(one,two)).")
            return _OneOf(_path(arguments[0]), _values(arguments[1].values)), 1
        case "matches":
            _count(query, 2, 3)
            return _Matches(_path(arguments[0]), _pattern(arguments[1:])), 1
        case _:
            raise NotProvidedError("This RQL operator is not supported.", query.name[:40])


def _any(arguments: Sequence[Argument]) -> tuple[Expression, int]:
    """Read the parts of an `or`; Controllers request hundreds of ids with an `eq` for each."""
    parts: list[Expression] = []
    by_path: dict[str, _OneOf] = {}
    conditions = 0
    for argument in arguments:
        part, within = _expression(argument)
        if isinstance(part, _OneOf):
            known = by_path.setdefault(part.path, part)
            if known is not part:
                known.values.update(part.values)
                continue
        parts.append(part)
        conditions += within
    return _Any(parts), conditions


def _count(call: Call, least: int, most: int) -> None:
    if not least <= len(call.arguments) <= most:
        wanted = f"{least}" if least == most else f"{least} or {most}"
        raise BadRequestError(
            f"{call.name}() has {wanted} arguments, and not {len(call.arguments)}."
        )


def _path(argument: Argument) -> str:
    words = argument.values if isinstance(argument, Array) else [argument]
    names = [decoded(each.word).strip() for each in _only_values(words)]
    if not all(names):
        raise BadRequestError("The first argument of an RQL comparison is a path: tags.location.")
    return ".".join(names)


def _values(arguments: Sequence[Argument]) -> Values:
    values = Values()
    for value in _only_values(arguments):
        values.add(value)
    return values


def _pattern(arguments: Sequence[Argument]) -> Pattern:
    words = [type_of(value) for value in _only_values(arguments)]
    if any(kind not in {"", "string"} for kind, _ in words):
        raise NotProvidedError("matches() has a pattern and options, of no type but string.")
    pattern, options = (*(decoded(word) for _, word in words), "")[:2]
    if options not in {"", "i"}:
        raise NotProvidedError("matches() has no option but i here.", options[:40])
    try:
        return Pattern(pattern, ignore_case=options == "i")
    except PatternError as error:
        raise BadRequestError(f"matches(): {error}.") from None
    except UnsupportedPatternError as error:
        raise NotProvidedError(f"matches(): {error}.") from None


def _only_values(arguments: Sequence[Argument]) -> list[Value]:
    for each in arguments:
        if isinstance(each, Call):
            raise NotProvidedError("RQL compares no results of calls here.", each.name[:40])
        if isinstance(each, Array):
            raise NotProvidedError("RQL has no arrays here but those of in() and of paths.")
    return [each for each in arguments if isinstance(each, Value)]
