"""A user with a browser, who logs in at an Authorization Server and consents."""

from __future__ import annotations

import re
from html import unescape
from http.cookiejar import CookieJar
from urllib.parse import urljoin

import httpx

from tests.support.tls import TestAuthority

__all__ = ["Browser"]

_FORM = re.compile(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
_INPUT = re.compile(r'<input[^>]*name="([^"]+)"(?:[^>]*value="([^"]*)")?')
# The first button of a form is the one that goes on.
_BUTTON = re.compile(r'<button[^>]*name="([^"]+)"[^>]*value="([^"]*)"')


class Browser:
    """Follows redirects one by one and keeps cookies.

    Args:
        tls: the roots it trusts.
        password: what the user enters as such.
        user: what the user enters as a name.
    """

    def __init__(self, tls: TestAuthority, password: str, user: str = "operator") -> None:
        self._password = password
        self._user = user
        # A server that stops would wait for connections that are kept.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            verify=tls.client_context(), timeout=10, limits=limits, headers={"accept": "text/html"}
        )

    @property
    def cookies(self) -> CookieJar:
        """What it keeps."""
        return self._client.cookies.jar

    async def get(self, url: str, *, until: str | None = None) -> httpx.Response:
        """Follow redirects to the end, or to the one that leads to `until`."""
        answer = await self._client.get(url)
        return await self._follow(answer, until)

    async def post(self, url: str, *, until: str | None = None, **fields: str) -> httpx.Response:
        """Send a form, and follow redirects."""
        return await self._follow(await self._client.post(url, data=fields), until)

    async def authorize(self, url: str, *, until: str | None = None) -> httpx.Response:
        """Log in and consent, and return the last answer, or the one that leads on."""
        answer = await self.get(url, until=until)
        for _ in range(3):
            form = _FORM.search(answer.text)
            if answer.is_redirect or form is None:
                return answer
            target = urljoin(str(answer.url), unescape(form[1]))
            sent = await self._client.post(target, data=self._filled_in(form[2]))
            answer = await self._follow(sent, until)
        return answer

    def _filled_in(self, form: str) -> dict[str, str]:
        entered = {"password": self._password}
        fields = {
            name: unescape(value) or entered.get(name, self._user)
            for name, value in _INPUT.findall(form)
        }
        return fields | dict(_BUTTON.findall(form)[:1])

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
