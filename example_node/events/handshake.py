"""The WebSockets of a Client: their opening handshake, and what is told of their end."""

from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from nmos_auth.client.errors import quoted

_LARGEST_HEAD = 1 << 14
_OF_BODIES = (b"content-length", b"transfer-encoding")


class EventConnection(ClientConnection):
    """Recognises a refusal as soon as its header is there.

    Some servers, for example sony/nmos-cpp, announce a body but do not send it; websockets would
    wait for it, and then know neither status nor challenge. The body is not needed.
    """

    _head = b""
    _head_is_there = False
    _is_refused = False

    @override
    def data_received(self, data: bytes) -> None:
        """Pass on what the server sends, except for the body of a refusal."""
        if self._is_refused:
            return
        if self._head_is_there:
            super().data_received(data)
            return
        self._head += data
        head, separator, _ = self._head.partition(b"\r\n\r\n")
        self._head_is_there = bool(separator) or len(self._head) > _LARGEST_HEAD
        if self._head_is_there:
            self._is_refused = bool(separator) and head.split(b" ", 2)[1:2] != [b"101"]
            super().data_received(_without_body(head) if self._is_refused else self._head)
            self._head = b""


def _without_body(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    kept = [each for each in lines if each.partition(b":")[0].strip().lower() not in _OF_BODIES]
    return b"\r\n".join([*kept, b"Content-Length: 0", b"", b""])


class Connect(connect):
    """Opens a WebSocket without following redirects: the token is only for the server named."""

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Let a redirect end the handshake."""
        return exc


def told(error: Exception) -> str:
    """Return what an error of a WebSocket says, for logs and people.

    A server may repeat the token in a header of its handshake, or as the reason of a close.
    """
    said = str(error)
    return quoted(said) or "" if isinstance(error, WebSocketException) else said
