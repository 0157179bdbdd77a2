"""Session descriptions (RFC 8866), as far as ST 2110 Senders and Receivers need them.

- `description`  what a session description says: streams and what they carry;
- `writing`      the description of a Sender's streams;
- `lines`        the lines of a description, read as tolerantly as RFC 8866 lets a reader be;
- `reading`      which of the streams that a description offers a Receiver can use.
"""

from example_node.connection.sdp.description import Media, SdpError, Session, Stream
from example_node.connection.sdp.reading import parse
from example_node.connection.sdp.writing import write

__all__ = ["Media", "SdpError", "Session", "Stream", "parse", "write"]
