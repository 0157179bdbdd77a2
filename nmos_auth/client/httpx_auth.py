"""Tokens for `httpx.AsyncClient` and `httpx.Client`."""

from __future__ import annotations

import httpx

from nmos_auth.client.flow import PresentsTokens

__all__ = ["BearerAuth"]


class BearerAuth(PresentsTokens[httpx.Request, httpx.Response], httpx.Auth):
    """Presents Access Tokens: `httpx.AsyncClient(auth=BearerAuth(tokens, origins=[...]))`."""

    def _replayable(self, request: httpx.Request) -> bool:
        return isinstance(request.stream, httpx.ByteStream)
