"""The one wildcard of IS-10: `*` stands for zero or more characters."""

from __future__ import annotations

__all__ = ["Wildcard"]


class Wildcard:
    """A pattern in which `*` matches zero or more characters, compiled once.

    IS-10 "Behaviour: Access Tokens", The Access Permissions Object. Matching is whole,
    case-sensitive and linear in the text: every piece between two wildcards is matched at its first
    occurrence, which leaves the longest rest for those that follow. So nothing is tried twice.

        >>> Wildcard("single/*/constraints").matches("single/senders/1/constraints")
        True
    """

    __slots__ = ("_head", "_inner", "_least", "_literal", "_tail")

    def __init__(self, pattern: str) -> None:
        head, asterisk, rest = pattern.partition("*")
        *inner, tail = rest.split("*")
        self._literal = not asterisk
        self._head = head
        self._tail = tail
        self._inner = tuple(piece for piece in inner if piece)
        self._least = len(head) + len(tail)

    @property
    def searches(self) -> bool:
        """Whether matching has to search the text, beyond its start and its end."""
        return bool(self._inner)

    @property
    def is_open(self) -> bool:
        """Whether a text that the pattern matches may go on with anything."""
        return not (self._literal or self._tail)

    def matches(self, text: str) -> bool:
        """Tell whether the pattern matches the whole of `text`."""
        if self._literal:
            return text == self._head
        if len(text) < self._least:
            return False
        if not (text.startswith(self._head) and text.endswith(self._tail)):
            return False
        position = len(self._head)
        end = len(text) - len(self._tail)
        for piece in self._inner:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True
