"""The WebSocket transport type (IS-05 "Behaviour: WebSocket Transport Type") for events (IS-07).

What a Sender offers never changes, so its constraints have one value for each parameter, and `auto`
is that value. A Receiver accepts what it is given.
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

from example_node.connection.models import Constraint, Constraints, TransportParams
from example_node.events.links import EventLinks
from example_node.is04 import ResourceId

_ANYTHING = Constraint()
_LONGEST_URL = 2048


def _url(value: str, *schemes: str) -> str:
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not value.startswith(tuple(f"{each}://" for each in schemes)):
        raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("must only have characters of URLs")
    return value


def _websocket_url(value: str) -> str:
    parts = urlsplit(_url(value, "ws", "wss"))
    if parts.fragment or "@" in parts.netloc:  # RFC 6455 section 3
        raise ValueError("must be a WebSocket URL without a fragment and a user")
    return value


def _websocket_url_or_auto(value: str) -> str:
    return value if value == "auto" else _websocket_url(value)


_Url = Annotated[str, StringConstraints(max_length=_LONGEST_URL)]
WebSocketUrl = Annotated[_Url, AfterValidator(_websocket_url)]
WebSocketUrlOrAuto = Annotated[_Url, AfterValidator(_websocket_url_or_auto)]
HttpUrl = Annotated[_Url, AfterValidator(lambda value: _url(value, "http", "https"))]
Authorization = bool | Literal["auto"]


class WebSocketSenderParams(TransportParams):
    """The parameters of a Sender of events."""

    connection_uri: WebSocketUrlOrAuto = "auto"
    connection_authorization: Authorization = "auto"
    ext_is_07_rest_api_url: HttpUrl
    ext_is_07_source_id: ResourceId

    def resolved(self, links: EventLinks) -> "WebSocketSenderParams":
        """Choose what is `auto`, from the Sender's Device."""
        return self.model_copy(
            update={
                "connection_uri": links.connection_uri,
                "connection_authorization": links.authorization,
            }
        )


class WebSocketReceiverParams(TransportParams):
    """The parameters of a Receiver of events."""

    connection_uri: WebSocketUrl | None = None
    connection_authorization: Authorization = "auto"
    ext_is_07_rest_api_url: HttpUrl | None = None
    ext_is_07_source_id: ResourceId | None = None

    def resolved(self, *, authorization: bool) -> "WebSocketReceiverParams":
        """Choose what is `auto`: authorization if the Node itself requires it."""
        if self.connection_authorization != "auto":
            return self
        return self.model_copy(update={"connection_authorization": authorization})


def sender_constraints(links: EventLinks, source_id: str) -> Constraints:
    """Return a Sender's parameters (IS-07 "WebSocket Transport", Connection management)."""
    return {
        "connection_uri": Constraint(enum=(links.connection_uri,)),
        "connection_authorization": Constraint(enum=(links.authorization,)),
        "ext_is_07_rest_api_url": Constraint(enum=(links.source(source_id),)),
        "ext_is_07_source_id": Constraint(enum=(source_id,)),
    }


RECEIVER_CONSTRAINTS: Constraints = dict.fromkeys(WebSocketReceiverParams.model_fields, _ANYTHING)
