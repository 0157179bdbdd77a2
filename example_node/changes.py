"""Who changed what: an example of what a Node can do with the token's client_id."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from example_node.clock import TaiTime
from nmos_auth import AccessToken, access_token

logger = logging.getLogger(__name__)

_MOST_CHANGES = 1000

Token = Annotated[AccessToken, Depends(access_token)]
"""The type of a handler's parameter for the token of its request."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change that a client made, with the client and user whose token allowed it.

    The subject is the client itself if no user was involved. Both are empty while authorization is
    switched off.
    """

    time: TaiTime
    client_id: str
    subject: str
    path: str
    attributes: tuple[str, ...]


class ChangeLog:
    """The latest changes, oldest first. Each is logged too."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque(maxlen=_MOST_CHANGES)

    def record(
        self, token: AccessToken, path: str, attributes: Iterable[str], *, time: TaiTime
    ) -> None:
        """Keep and log a change.

        Args:
            token: the token that allowed it.
            path: the path of what was changed, from the base path of its API.
            attributes: the attributes that were changed.
            time: when the request arrived.
        """
        change = Change(time, token.client_id, token.sub, path, tuple(sorted(attributes)))
        self._changes.append(change)
        logger.info(
            "client %r changed %s of %s",
            change.client_id,
            ", ".join(change.attributes) or "nothing",
            change.path,
        )

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes)

    def __len__(self) -> int:
        return len(self._changes)
