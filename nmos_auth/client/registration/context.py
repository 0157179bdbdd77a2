"""What all parts of one Client share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth.client.grants.keys import ClientKeys
from nmos_auth.client.http import Transport
from nmos_auth.client.settings import ClientSettings
from nmos_auth.client.store.steps import Steps
from nmos_auth.client.store.stores import Store

__all__ = ["ClientContext"]


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What all servers of a Client share.

    Attributes:
        settings: the Client's settings.
        transport: sends requests.
        store: keeps registrations.
        keys: sign assertions; None if nothing is signed.
        clock: seconds since 1970 UTC.
        monotonic: seconds of a clock that never goes back.
        steps: runs the steps that must not be interrupted.
    """

    settings: ClientSettings
    transport: Transport
    store: Store
    keys: ClientKeys | None
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    steps: Steps = field(default_factory=Steps)
