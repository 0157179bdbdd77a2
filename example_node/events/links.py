"""Where a Device's events are: the URLs that the APIs of IS-04, IS-05 and IS-07 have to agree on.

Senders of one Device share one WebSocket: they "should offer the same `connection_uri`" (IS-07
"WebSocket Transport", connection_uri).
"""

from dataclasses import dataclass

EVENTS_API_VERSION = "v1.0"


@dataclass(frozen=True, slots=True)
class EventLinks:
    """The URLs of one Device's events.

    Attributes:
        origin: scheme, name and port of the Node.
        device_id: the Device.
        authorization: whether its WebSocket requires an Access Token.
    """

    origin: str
    device_id: str
    authorization: bool

    @property
    def api(self) -> str:
        """The Events API, which as a control "should always end with a trailing slash"."""
        return f"{self.origin}/x-nmos/events/{EVENTS_API_VERSION}/"

    @property
    def connection_uri(self) -> str:
        """The WebSocket."""
        return f"{self.api}devices/{self.device_id}".replace("http", "ws", 1)

    def source(self, source_id: str) -> str:
        """One Source in the Events API."""
        return f"{self.api}sources/{source_id}/"
