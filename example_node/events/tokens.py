"""The Access Tokens that Receivers of events connect with.

IS-07 WebSocket Receivers may get them by the client_credentials grant, for the scope `events`
(BCP-003-02 "Client Credentials").
"""

from collections.abc import Mapping

from example_node.events.reception import HeadersFor
from nmos_auth import ConfigurationError
from nmos_auth.client import AuthorizationClient, Origins, websocket_headers

SCOPE = "events"


def headers_by(client: AuthorizationClient | None, *, allow_http: bool) -> HeadersFor:
    """Make what gives the headers for a handshake.

    The token goes where a Receiver was told to connect, over TLS to a host with a certificate: who
    may write to `single/receivers/…/staged` is trusted to name the Sender's Node.

    Args:
        client: Gets the tokens, from the first that is needed on; None where there are none.
        allow_http: For development, send tokens unencrypted too.
    """
    if client is None:
        return _no_headers
    tokens = client.tokens(SCOPE)

    async def headers(uri: str) -> Mapping[str, str]:
        return await websocket_headers(tokens, uri, Origins([uri], allow_http=allow_http))

    return headers


async def _no_headers(_: str) -> Mapping[str, str]:
    raise ConfigurationError("this Node gets no tokens: NMOS_AUTH_CLIENT_NAME is not set")
