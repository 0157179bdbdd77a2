"""Tokens for `httpx2.AsyncClient` and `httpx2.Client`; this module requires httpx2."""

from __future__ import annotations

import httpx2

from nmos_auth.client.flow import PresentsTokens

__all__ = ["BearerAuth"]


class BearerAuth(PresentsTokens[httpx2.Request, httpx2.Response], httpx2.Auth):
    """Presents Access Tokens: `httpx2.AsyncClient(auth=BearerAuth(tokens, origins=[...]))`."""

    def _replayable(self, request: httpx2.Request) -> bool:
        return isinstance(request.stream, httpx2.ByteStream)
