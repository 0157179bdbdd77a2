"""The query parameters that filter (IS-04 "APIs: Query Parameters").

These are Basic Queries and RQL, which may be used together. Downgrade queries are accepted, but
find nothing more, since all resources are of v1.3. Ancestry queries, which are optional, are
answered with 501.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_plus

from example_node.errors import BadRequestError, NotProvidedError
from example_node.registry import rql
from example_node.registry.paths import Data, values_at

MOST_FILTERS = 16
"""The most filters of a query: each is compared with every resource."""

_DOWNGRADE = re.compile(r"v1\.[0-3]")


_RQL = "query.rql"


def parameters_of(query_string: str) -> list[tuple[str, str]]:
    """Read the parameters of a URL; RQL keeps its own escapes.

    Args:
        query_string: the part after the `?`.
    """
    parameters = []
    for part in query_string.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) == _RQL:
            parameters.append((_RQL, rql.of_parameter(value)))
        else:
            parameters += parse_qsl(part, keep_blank_values=True)
    return parameters


@dataclass(frozen=True, slots=True)
class Query:
    """The filters that a resource must pass.

    Attributes:
        parameters: the parameters, without those of paging.
        filters: attributes and their values.
        rql: the expression of an RQL query.
    """

    parameters: tuple[tuple[str, str], ...]
    filters: tuple[tuple[str, str], ...]
    rql: tuple[rql.Expression, ...]

    @classmethod
    def parse(cls, parameters: Iterable[tuple[str, object]]) -> "Query":
        """Read the parameters of a request or a subscription, except those of paging.

        Raises:
            BadRequestError: a downgrade is to more than this Registry has, RQL is malformed, or
                there are too many filters.
            NotProvidedError: a parameter, or something in RQL, is one that this Registry does not
                understand.
        """
        texts = [
            (name, _text(value)) for name, value in parameters if not name.startswith("paging.")
        ]
        filters, expressions = [], []
        for name, value in texts:
            if name == "query.downgrade":
                if not _DOWNGRADE.fullmatch(value):
                    raise BadRequestError("v1.3 cannot be downgraded to this version.")
            elif name == _RQL:
                expressions.append(rql.parse(value))
            elif name.startswith("query."):
                raise NotProvidedError("This query parameter is not supported.", name)
            else:
                filters.append((name, value))
        if len(filters) > MOST_FILTERS or len(expressions) > 1:
            raise BadRequestError(
                f"A query has no more than {MOST_FILTERS} filters and one RQL query here."
            )
        return cls(tuple(texts), tuple(filters), tuple(expressions))

    @property
    def passes_all(self) -> bool:
        """Whether there is no filter."""
        return not self.filters and not self.rql

    def matches(self, data: Data) -> bool:
        """Tell whether a resource passes every filter."""
        return all(_has(data, path, wanted) for path, wanted in self.filters) and all(
            each.matches(data) for each in self.rql
        )


def _has(data: Data, path: str, wanted: str) -> bool:
    return any(
        not isinstance(value, dict) and _text(value) == wanted for value in values_at(data, path)
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
