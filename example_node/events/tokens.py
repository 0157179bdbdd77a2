"""The Access Tokens that whoever receives events connects with.

IS-07 WebSocket Receivers may get them by the client_credentials grant, for the scope `events`
(BCP-003-02 "Authorization Grant Constraints"); a Controller uses those of its users.
"""

from collections.abc import Callable, Mapping, Sequence

from example_node.events.reception import Credentials
from nmos_auth import ConfigurationError
from nmos_auth.client import AuthorizationClient, Origins, TokenSource, websocket_headers
from nmos_auth.client.presenting import Recipients, carries, says_invalid_token

SCOPE = "events"

_MOST_UNVERIFIED = 3


def credentials_of(client: AuthorizationClient | None, *, allow_http: bool) -> Credentials:
    """Return the credentials of a Node, with its Client's tokens.

    Over TLS they go to any host with a certificate: who may write to `single/receivers/…/staged` is
    trusted to name the Sender's Node.

    Args:
        client: gets the tokens, from the first one that is needed; None without authorization.
        allow_http: send tokens unencrypted too, for development.
    """
    if client is None:
        return NoTokens("without a registry, NMOS_AUTH_CLIENT_NAME makes a Client of this Node")
    return EventTokens(client.tokens(SCOPE), lambda uri: Origins([uri], allow_http=allow_http))


class EventTokens:
    """Presents tokens to event WebSockets.

    Args:
        tokens: the source of the tokens.
        recipients: returns what decides whether the WebSocket of a URL gets one.
    """

    def __init__(self, tokens: TokenSource, recipients: Callable[[str], Recipients]) -> None:
        self._tokens = tokens
        self._recipients = recipients
        self._unverified: tuple[str, int] = "", 0

    async def headers(self, uri: str) -> Mapping[str, str]:
        """Return the headers for the handshake with a URL."""
        return await websocket_headers(self._tokens, uri, self._recipients(uri))

    async def refused(
        self, headers: Mapping[str, str], status: int, challenges: Sequence[str]
    ) -> None:
        """Get another token instead of one that was called invalid.

        "Clients MUST be capable of handling early revocation of tokens" (IS-10 "Behaviour:
        Clients", Accessing Protected Resources). A 503 says that the server may have the key soon,
        and a 401 without an error that there was no token, although there was one. sony/nmos-cpp
        says so for ever, whatever is wrong; so the third such answer for the same token is the
        last.
        """
        sent = headers.get("Authorization", "")
        invalid = says_invalid_token(status, challenges)
        silent = status == 401 and bool(sent) and not invalid
        if not (invalid or silent):
            return
        if status == 503 or silent:
            token, count = self._unverified
            self._unverified = sent, count + 1 if token == sent else 1
            if self._unverified[1] < _MOST_UNVERIFIED:
                return
        held = await self._tokens.token()
        if carries(sent, held):
            await self._tokens.replacement(held)


class NoTokens:
    """The credentials of whoever is not a Client of any Authorization Server.

    Args:
        cure: what to do about it.
    """

    def __init__(self, cure: str) -> None:
        self._cure = cure

    async def headers(self, uri: str) -> Mapping[str, str]:
        """Raise an error that says why there is no token."""
        raise ConfigurationError(f"no token for {uri}: {self._cure}")

    async def refused(
        self, headers: Mapping[str, str], status: int, challenges: Sequence[str]
    ) -> None:
        """Do nothing: no token was sent that could be refused."""
