"""Redirects of GET requests, as far as a Controller has to follow them.

"When a Controller performs `GET` and `HEAD` requests, it MUST correctly handle a `301` (Moved
Permanently) redirect", for trailing slashes (IS-05 "Controllers", Error Codes & Responses). One is
followed, and only to the same origin: the token that goes with it is for no other.
"""

from dataclasses import replace
from urllib.parse import urljoin

import httpx

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest
from nmos_auth.servers.urls import Origin, without_query

_REDIRECTS = frozenset({301, 302, 307, 308})


async def send(http: HttpClient, request: HttpRequest, auth: httpx.Auth | None) -> Answer:
    """Send a request, and follow one redirect of a GET to the same origin.

    Raises:
        FetchError: there is no answer.
        NmosAuthError: there is no token now; nothing was sent.
    """
    answer = await http.send(request, auth=auth)
    if request.method != "GET" or answer.status not in _REDIRECTS or not answer.location:
        return answer
    target = urljoin(request.url, answer.location)
    try:
        is_same = Origin.of(target) == Origin.of(request.url)
    except ValueError:
        is_same = False
    if not is_same:
        return answer
    try:
        return await http.send(replace(request, url=target), auth=auth)
    except FetchError as error:
        # The text has the URL, in which a server may repeat the token.
        text = f"{without_query(request.url)}: there is no answer where it redirects to"
        raise FetchError(text, status=error.status, retry_after=error.retry_after) from None
