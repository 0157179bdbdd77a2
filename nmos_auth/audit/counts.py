"""How many decisions there were, by labels from closed sets."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["OTHER", "AuditStatus", "Label", "Tally", "label_of"]

OTHER: Final = "other"

# The API names of the AMWA specifications. All names that clients invent are counted as one.
_APIS = frozenset(
    {
        "annotation",
        "auth",
        "channelmapping",
        "configuration",
        "connection",
        "events",
        "manifest",
        "ncp",
        "node",
        "query",
        "registration",
        "streamcompatibility",
        "system",
    }
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROOT = "/x-nmos/"


class Label(NamedTuple):
    """The label by which decisions are counted; every member comes from a closed set.

    Attributes:
        outcome: authorized or rejected.
        reason: the reason, as the audit log has it.
        api: an NMOS API's name in the URL, `other`, or "" where the path has none.
        method: an HTTP method, or `other`.
    """

    outcome: str
    reason: str
    api: str
    method: str


def label_of(outcome: str, reason: str, method: str, path: str, api: str | None = None) -> Label:
    """Return the label of a decision.

    Args:
        outcome: what became of the request.
        reason: why.
        method: as the client sent it.
        path: the canonical path.
        api: the NMOS API's name in the path, where that is known already.
    """
    if api is None:
        api = path.partition(_ROOT)[2].partition("/")[0]
    if api and api not in _APIS:
        api = OTHER
    return _label(outcome, reason, api, method if method in _METHODS else OTHER)


@functools.lru_cache(256)  # there are few, and each decision needs one
def _label(outcome: str, reason: str, api: str, method: str) -> Label:
    return Label(str(outcome), str(reason), api, method)


class Tally:
    """Counts the decisions with one label.

    Attributes:
        number: how many there were.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """The state of the audit log.

    Attributes:
        destination: where lines go.
        decisions: how many there were since the start, by label.
        waiting: lines that are not written yet.
        lost: lines that were lost because they could not be written for a long time.
        limited: refusals for which no line was written because of NMOS_AUTH_AUDIT_LIMIT.
    """

    destination: str
    decisions: Mapping[Label, int]
    waiting: int
    lost: int
    limited: int
