"""The query parameters that filter (IS-04 "APIs: Query Parameters", Basic Queries).

Downgrade queries are understood, and find nothing more, since all resources are of v1.3. RQL and
ancestry queries, which are optional, are answered with 501.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from example_node.errors import BadRequestError, NotProvidedError
from example_node.registry.registry import Data

MOST_FILTERS = 16
"""How many filters a query may have: each is compared with every resource."""

_DOWNGRADE = re.compile(r"v1\.[0-3]")


@dataclass(frozen=True, slots=True)
class Query:
    """The filters that a resource has to pass, all of them: attributes and their values."""

    filters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, object]]) -> "Query":
        """Read the parameters of a request or a subscription; those of paging are left alone.

        Raises:
            BadRequestError: A downgrade is to more than this Registry has, or there are too many
                filters.
            NotProvidedError: A parameter is one that this Registry does not understand.
        """
        filters = []
        for name, value in parameters:
            if name == "query.downgrade":
                if not isinstance(value, str) or not _DOWNGRADE.fullmatch(value):
                    raise BadRequestError("No downgrade leads from v1.3 to there.")
            elif name.startswith("query."):
                raise NotProvidedError("This query parameter is not supported.", name)
            elif not name.startswith("paging."):
                filters.append((name, _text(value)))
        if len(filters) > MOST_FILTERS:
            raise BadRequestError(f"A query has no more than {MOST_FILTERS} filters here.")
        return cls(tuple(filters))

    def matches(self, data: Data) -> bool:
        """Tell whether a resource passes every filter."""
        return all(_has(data, path, wanted) for path, wanted in self.filters)


def _has(value: object, path: str, wanted: str) -> bool:
    """Tell whether something within a value is what is wanted; `.` goes into objects.

    The names of tags have dots of their own, so it is the names that are looked for in the path.
    """
    if isinstance(value, list):
        return any(_has(each, path, wanted) for each in value)
    if not path:
        return not isinstance(value, dict) and _text(value) == wanted
    return isinstance(value, dict) and any(
        _has(child, path[len(name) + 1 :], wanted)
        for name, child in value.items()
        if path == name or path.startswith(f"{name}.")
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
