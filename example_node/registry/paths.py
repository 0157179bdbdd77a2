"""The values in a resource that the parameters of a query name (IS-04 "APIs: Query Parameters")."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Data", "values_at"]

Data = Mapping[str, Any]


def values_at(value: object, path: str) -> Iterator[object]:
    """Yield the values at a path: each element of arrays, and objects as they are.

    `.` goes into objects. The names of tags have dots of their own, so it is the names that are
    looked for in the path.

    >>> list(values_at({"tags": {"urn:x.y": ["one", "two"]}}, "tags.urn:x.y"))
    ['one', 'two']
    """
    if isinstance(value, list):
        for each in value:
            yield from values_at(each, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        if path in value:
            yield from values_at(value[path], "")
        if "." in path:
            for name, child in value.items():
                if path.startswith(f"{name}."):
                    yield from values_at(child, path[len(name) + 1 :])
