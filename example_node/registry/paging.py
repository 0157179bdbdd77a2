"""Pages of resources (IS-04 "APIs: Query Parameters", Pagination)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from example_node.clock import TaiTime
from example_node.errors import BadRequestError
from example_node.registry.paths import Data
from example_node.registry.registry import Record

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
_BEGINNING = TaiTime(0)


@dataclass(frozen=True, slots=True)
class Paging:
    """The requested part of a collection: after `since`, up to and including `until`."""

    since: TaiTime | None
    until: TaiTime | None
    limit: int
    order: Literal["update", "create"]

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Paging":
        """Read the paging parameters of a request.

        Raises:
            BadRequestError: one is not well-formed, or `since` is later than `until`.
        """
        order = parameters.get("paging.order", "update")
        limit = parameters.get("paging.limit", str(DEFAULT_LIMIT))
        if order not in {"update", "create"}:
            raise BadRequestError("paging.order is `update` or `create`.")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
            raise BadRequestError("paging.limit is a whole number.")
        since, until = (_time(parameters.get(f"paging.{name}")) for name in ("since", "until"))
        if since and until and since > until:
            raise BadRequestError("paging.since is later than paging.until.")
        return cls(
            since,
            until,
            min(int(limit), LARGEST_LIMIT),
            "create" if order == "create" else "update",
        )

    def page_of(self, records: Iterable[Record], matching: Sequence[Record]) -> "Page":
        """Return a page.

        Args:
            records: the whole collection, of which the latest time bounds a page without `until`.
            matching: those that pass the filters, which come before paging.
        """
        since = self.since or _BEGINNING
        until = self.until or max((since, *map(self._time, records)))
        within = sorted(
            (each for each in matching if since < self._time(each) <= until), key=self._time
        )
        if len(within) > self.limit or self.limit == 0:
            # "the `since` value takes precedence where a resulting data set is constrained by the
            # server's value of `limit`"
            if self.since is not None:
                within = within[: self.limit]
                until = self._time(within[-1]) if within else since
            else:
                excluded = within[: -self.limit] if self.limit else []
                within = within[len(excluded) :] if self.limit else []
                since = self._time(excluded[-1]) if excluded else until
        return Page([each.data for each in reversed(within)], since, until, self)

    def _time(self, record: Record) -> TaiTime:
        return record.updated if self.order == "update" else record.created


@dataclass(frozen=True, slots=True)
class Page:
    """A page, the latest first, and the bounds between which there is nothing else."""

    data: list[Data]
    since: TaiTime
    until: TaiTime
    paging: Paging

    def headers(self, url: str, filters: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Return the headers with the bounds, and with the pages around this one.

        Args:
            url: the URL of the collection.
            filters: the other parameters of the request.
        """
        kept = [*filters, ("paging.limit", str(self.paging.limit))]
        if self.paging.order != "update":
            kept.append(("paging.order", self.paging.order))
        cursors = {
            "next": [("paging.since", str(self.until))],
            "prev": [("paging.until", str(self.since))],
            "first": [("paging.since", str(_BEGINNING))],
            "last": [],
        }
        links = [
            f'<{url}?{urlencode([*kept, *cursor], quote_via=quote, safe=":")}>; rel="{name}"'
            for name, cursor in cursors.items()
        ]
        return {
            "Link": ", ".join(links),
            "X-Paging-Limit": str(self.paging.limit),
            "X-Paging-Since": str(self.since),
            "X-Paging-Until": str(self.until),
        }


def _time(text: str | None) -> TaiTime | None:
    try:
        return None if text is None else TaiTime.parse(text)
    except ValueError as error:
        raise BadRequestError(f"paging: {error}") from error
