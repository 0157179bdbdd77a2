"""What a store of owners does; `memory` and `redis` have one each."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from nmos_auth.rules.resources import Placement

__all__ = ["STEP", "Owners", "Verdict"]

STEP: Final = 64
"""The most resources that one call clears away.

The time of a call does not grow with their number. Each resource was registered by a call of its
own, so what is gone does not pile up.
"""


class Verdict(StrEnum):
    """What became of a client's request."""

    CREATED = "created"
    """The resource was not there, and is the client's now."""

    DONE = "done"
    """It was there, and belongs to the client."""

    ABSENT = "absent"
    """It is not there, its parent is not there, or its id belongs to another type."""

    REFUSED = "refused"
    """It belongs to another client, or its new parent does."""

    FULL = "full"
    """It was not there, and the client has as many resources as it may have."""


class Owners(Protocol):
    """Which client owns which Node, and what belongs to that Node.

    A Node belongs to the client that registered it first, until the Node is deleted or has been
    without a heartbeat for so long that the Registry forgets it. Everything that was registered
    below it is then forgotten too. Each method decides and changes in one step, which no other
    request interrupts.

    Raises:
        OwnersUnavailable: there is no answer, or not in time; each method may raise it.
    """

    async def register(self, client_id: str, placement: Placement) -> Verdict:
        """Record a resource that a client registers, for the first time or again.

        A resource that is there already may move to another parent if both parents belong to the
        client. A new resource is refused if the client has as many as it may have.
        """
        ...

    async def delete(self, client_id: str, resource_type: str, resource_id: str) -> Verdict:
        """Forget a resource and everything below it."""
        ...

    async def heartbeat(self, client_id: str, node_id: str) -> Verdict:
        """Keep a Node for another lifetime."""
        ...
