"""How servers are reached: which certificates are trusted, through which proxy, as which client."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote

from nmos_auth.servers.certificates import TlsIdentity

__all__ = ["USER_AGENT", "Proxy", "ServerAccess"]

USER_AGENT = "asgi-nmos-auth"
_PROXY = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^/?#@:]+):(?P<password>[^/?#@]*)@)?"
    r"(?P<place>(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})/?"
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy (RFC 9110 Section 9.3.6, CONNECT).

    Attributes:
        url: `http://HOST:PORT`, or `https` for one that is itself reached by TLS.
        credentials: name and password for the proxy, or None; not shown.
    """

    url: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Parse the URL of a proxy.

        Raises:
            ValueError: `text` is not one. The message does not show it, as it may hold a password.
        """
        match = _PROXY.fullmatch(text)
        if match is None:
            raise ValueError(
                "it is not the URL of a proxy; write http://HOST:PORT or"
                " http://NAME:PASSWORD@HOST:PORT"
            )
        user, password = match["user"], match["password"]
        credentials = None if user is None else (unquote(user), unquote(password))
        return cls(f"{match['scheme']}://{match['place']}", credentials)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """How servers are reached.

    Attributes:
        tls: which certificates are trusted, and the client certificate that connections present;
            an `SSLContext` is used as it is.
        proxy: the proxy that all connections go through, or None.
        user_agent: the `User-Agent` of each request.
    """

    tls: TlsIdentity | ssl.SSLContext
    proxy: Proxy | None = None
    user_agent: str = USER_AGENT
