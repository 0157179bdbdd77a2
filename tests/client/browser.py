"""A user with a browser, who logs in at `oidc-provider` and consents."""

from __future__ import annotations

import re
from http.cookiejar import CookieJar
from urllib.parse import urljoin

import httpx

from tests.support.tls import TestAuthority

__all__ = ["Browser"]

_FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?')


class Browser:
    """Follows redirects one by one and keeps cookies.

    Args:
        tls: the roots it trusts.
    """

    def __init__(self, tls: TestAuthority) -> None:
        self._client = httpx.AsyncClient(verify=tls.client_context(), timeout=10)

    @property
    def cookies(self) -> CookieJar:
        """What it keeps."""
        return self._client.cookies.jar

    async def get(self, url: str, *, until: str | None = None) -> httpx.Response:
        """Follow redirects to the end, or to the one that leads to `until`."""
        answer = await self._client.get(url)
        return await self._follow(answer, until)

    async def post(self, url: str) -> httpx.Response:
        """Send an empty form, and follow redirects."""
        return await self._follow(await self._client.post(url), None)

    async def authorize(self, url: str, *, until: str | None = None) -> httpx.Response:
        """Log in as `operator` and consent; gives the last answer, or that which leads on."""
        answer = await self.get(url, until=until)
        for _ in range(3):
            form = _FORM.search(answer.text)
            if answer.is_redirect or form is None:
                return answer
            fields = {name: value or "operator" for name, value in _INPUT.findall(form[2])}
            sent = await self._client.post(urljoin(str(answer.url), form[1]), data=fields)
            answer = await self._follow(sent, until)
        return answer

    async def _follow(self, answer: httpx.Response, until: str | None) -> httpx.Response:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if until is not None and target.startswith(until):
                return answer
            answer = await self._client.get(target)
        return answer

    async def close(self) -> None:
        """Close it."""
        await self._client.aclose()
