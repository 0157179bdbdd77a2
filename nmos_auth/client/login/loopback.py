"""The login of a native Controller, with the user's browser and a loopback port (RFC 8252)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import SecretStr

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import AuthorizationRefused, CallbackError, ClientError, LoginRequired
from nmos_auth.client.grants.grants import PendingAuthorization, code_of
from nmos_auth.client.registration.registrations import redirect_uri_at
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.settings import redirect_uri_of, scopes_of
from nmos_auth.client.tokens.authorizations import UserAuthorization
from nmos_auth.errors import ConfigurationError

__all__ = ["LOOPBACK_REDIRECT_URI", "log_in"]

# RFC 8252 Section 7.3: servers "MUST allow any port to be specified at the time of the request";
# Section 8.3: the address is better than `localhost`.
LOOPBACK_REDIRECT_URI = "http://127.0.0.1/callback/{server}"

_LARGEST_REQUEST = 16 * 1024
_PATIENCE = 10.0
_LAST_ANSWER = 1.0
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>NMOS login</title>"
    "<body><p>{text}</p></body></html>"
)
_DONE = "The login is complete. You can close this window and go back to the program."
_REFUSED = "The login was refused. You can close this window."
_NOT_OURS = "This is not the answer to a login that is under way."


async def log_in(
    client: AuthorizationClient,
    scope: Iterable[str] = (),
    *,
    open_browser: Callable[[str], object],
    patience: float = 300,
) -> UserAuthorization:
    """Let the user log in with a browser, and keep the authorization in the Client's store.

    The first Authorization Server that answers is asked. Meanwhile a port of the loopback interface
    is open: the port of the redirect URI or, if it has none, any free port.

    Args:
        client: a Client whose settings have the authorization_code grant and a loopback redirect
            URI.
        scope: the scopes to request; those of the settings if empty.
        open_browser: shows a URL to the user, for example `webbrowser.open`; its result is ignored.
            A function is called in a thread of its own, because a text browser returns only when
            the user leaves it, and fetches the page of the login before that. A coroutine function
            is awaited.
        patience: seconds that the user has to log in.

    Raises:
        AuthorizationRefused: the user or the server refused.
        LoginRequired: the user did not log in in time.
        ConfigurationError: the redirect URI is not on the loopback interface.
        ClientError: the server or the store failed; `ScopeNotGranted` if less was authorized.
    """
    asked = client.permitted(scopes_of(scope))
    template = client.settings.required("redirect_uri", "the login requires it")
    if not redirect_uri_of(template).is_loopback:
        raise ConfigurationError(
            f"NMOS_AUTH_CLIENT_REDIRECT_URI: {template} is not on the loopback interface, like"
            f" {LOOPBACK_REDIRECT_URI}"
        )
    receiver = _Receiver()
    parts = urlsplit(template)
    try:
        listener = await asyncio.start_server(
            receiver.serve, parts.hostname, parts.port or 0, limit=_LARGEST_REQUEST
        )
    except OSError as error:
        raise ClientError(f"{template} cannot be listened on: {error.strerror}").advise(
            "end the program that uses it, or set NMOS_AUTH_CLIENT_REDIRECT_URI to a URI with"
            " another port or without one",
            setting="NMOS_AUTH_CLIENT_REDIRECT_URI",
        ) from None
    async with listener:
        port = listener.sockets[0].getsockname()[1]

        async def begin(server: AuthorizationServer) -> PendingAuthorization:
            uri = _with_port(redirect_uri_at(client.settings, server.issuer), port)
            return await server.begin_authorization(asked, redirect_uri=uri)

        pending = await client.servers.ask(begin)
        await client.tell_apart(pending)
        # It is checked before, so that the user does not log in in vain.
        await client.authorization_at(client.servers.at(pending.issuer)).check_room()
        receiver.expect(pending)
        shown = asyncio.create_task(_shown(open_browser, pending.url))
        shown.add_done_callback(receiver.after_showing)
        try:
            async with asyncio.timeout(patience):
                code = await receiver.code
        except TimeoutError:
            raise LoginRequired(f"the user did not log in within {patience:g} s") from None
        finally:
            shown.cancel()
            await receiver.finish()
    server = client.servers.at(pending.issuer)
    authorization = client.authorization_at(server)
    await authorization.complete(pending, code)
    return authorization


async def _shown(open_browser: Callable[[str], object], url: str) -> None:
    if inspect.iscoroutinefunction(open_browser):
        await open_browser(url)
    else:
        await asyncio.to_thread(open_browser, url)


class _Receiver:
    """Receives the browser's request to the redirect URI; other requests are ignored."""

    def __init__(self) -> None:
        self.code: asyncio.Future[SecretStr] = asyncio.get_running_loop().create_future()
        self._pending: PendingAuthorization | None = None
        self._connections: set[asyncio.Task[object]] = set()

    def expect(self, pending: PendingAuthorization) -> None:
        """Wait for the answer to this request."""
        self._pending = pending

    def after_showing(self, shown: asyncio.Task[None]) -> None:
        """End the wait if the URL could not be shown to the user."""
        error = None if shown.cancelled() else shown.exception()
        if error is not None and not self.code.done():
            self.code.set_exception(error)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        connection = asyncio.current_task()
        if connection is not None:
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                status, text = self._answer(head)
                body = _PAGE.format(text=text).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n"
                    "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def finish(self) -> None:
        """Wait until the last answer is sent; browsers also open connections without using them."""
        connections = list(self._connections)
        if connections:
            _, idle = await asyncio.wait(connections, timeout=_LAST_ANSWER)
            for connection in idle:
                connection.cancel()
            await asyncio.gather(*idle, return_exceptions=True)

    def _answer(self, head: bytes) -> tuple[str, str]:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        target = urlsplit(rest.partition(" ")[0])
        pending = self._pending
        if method != "GET" or pending is None or self.code.done():
            return "400 Bad Request", _NOT_OURS
        if target.path != urlsplit(pending.redirect_uri).path:
            return "404 Not Found", _NOT_OURS
        try:
            code = code_of(pending, parse_qsl(target.query, keep_blank_values=True))
        except CallbackError:
            # Any program on this machine can send this, and must not end the login by it.
            return "400 Bad Request", _NOT_OURS
        except AuthorizationRefused as refusal:
            self.code.set_exception(refusal)
            return "200 OK", _REFUSED
        self.code.set_result(code)
        return "200 OK", _DONE


def _with_port(uri: str, port: int) -> str:
    parts = urlsplit(uri)
    if parts.port is not None:
        return uri
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
