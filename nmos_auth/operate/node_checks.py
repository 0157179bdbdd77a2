"""Checks a Node from outside: TLS, challenges, CORS, WebSockets, and a request with a token."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nmos_auth.errors import FetchError
from nmos_auth.operate.certificates import tls_findings
from nmos_auth.operate.findings import Finding
from nmos_auth.servers.answers import Answer
from nmos_auth.servers.http import HttpClient, HttpRequest
from nmos_auth.servers.urls import Origin

__all__ = ["check_node"]

_ORIGIN = "https://controller.example.com"
_PREFLIGHT = {
    "origin": _ORIGIN,
    "access-control-request-method": "GET",
    "access-control-request-headers": "authorization",
}
_DEADLINE = 5.0
_MOST_APIS = 16
# Removing shorter texts would remove ordinary words.
_SHORTEST_SECRET = 8


async def check_node(
    base_url: str,
    *,
    ca_file: Path | None,
    audience: Sequence[str],
    token: str | None,
    clock: Callable[[], float],
) -> list[Finding]:
    """Check a Node from outside.

    Args:
        base_url: its origin, for example `https://node1.example.com:8080`.
        ca_file: root certificates; None for the system's.
        audience: the names that the Node's certificate must have, in addition to the URL's host.
        token: an access token to try, or None.
        clock: seconds since 1970 UTC.
    """
    try:
        parsed = Origin.parse(base_url)
    except ValueError as error:
        text = f"it is not the URL of a Node: {error}"
        return [Finding.failure(base_url, text, "write https://HOST[:PORT], without a path")]
    # Without the brackets of an IPv6 address.
    host, port, origin = parsed.host.strip("[]"), parsed.port, str(parsed)
    https = parsed.scheme == "https"
    context = ssl.create_default_context(cafile=ca_file)
    findings: list[Finding] = []
    if https:
        findings += await tls_findings(
            _authority(host, port),
            host,
            port,
            context,
            ca_file=ca_file,
            names=[name for name in audience if name != host],
            versions=True,
            now=clock(),
        )
    else:
        findings.append(
            Finding.warning(
                origin, "it is served over http", "serve it over TLS, as BCP-003-01 requires"
            )
        )
    async with contextlib.aclosing(HttpClient(context)) as client:
        try:
            root = await client.send(HttpRequest("GET", f"{origin}/x-nmos/"))
        except FetchError as error:
            cure = "start the Node, and check host, port and certificate"
            return [*findings, Finding.failure(origin, str(error), cure)]
        findings += _check_root(origin, root, https=https)
        for api in _apis_of(root):
            findings += await _check_api(client, f"{origin}/x-nmos/{api}/", token)
    findings += await _check_handshake(host, port, context if https else None)
    return findings


def _check_root(origin: str, root: Answer, *, https: bool) -> list[Finding]:
    subject = f"{origin}/x-nmos/"
    findings = []
    if root.status == 200:
        findings.append(Finding.ok(subject, "it is public, as IS-10 requires"))
    else:
        findings.append(
            Finding.failure(
                subject,
                f"it answers {root.status} without a token, but IS-10 requires it to be public",
                "let GET of / and /x-nmos/ pass; check what stands in front of the Node",
            )
        )
    if https and "max-age" not in root.headers.get("strict-transport-security", ""):
        findings.append(
            Finding.warning(
                subject,
                "it has no Strict-Transport-Security header",
                "add HSTS, as BCP-003-01 recommends, in the server or the proxy in front of it",
            )
        )
    return findings


def _apis_of(root: Answer) -> list[str]:
    with contextlib.suppress(ValueError, RecursionError):
        listed = json.loads(root.body)
        if isinstance(listed, list):
            names = [each.strip("/") for each in listed if isinstance(each, str)]
            return [each for each in names if each.isascii() and each.isalnum()][:_MOST_APIS]
    return []


async def _check_api(client: HttpClient, url: str, token: str | None) -> list[Finding]:
    try:
        bare = await client.send(HttpRequest("GET", url, {"origin": _ORIGIN}))
        preflight = await client.send(HttpRequest("OPTIONS", url, _PREFLIGHT))
        tried = None
        if token is not None:
            credentials = {"authorization": f"Bearer {token}"}
            tried = await client.send(HttpRequest("GET", url, credentials))
    except FetchError as error:
        return [Finding.failure(url, str(error), "look at the Node's own log")]
    findings = [_challenge(url, bare), *_cors(url, bare, preflight)]
    if tried is not None:
        findings.append(_passage(url, tried))
    return [_without(token or "", each) for each in findings]


def _challenge(url: str, bare: Answer) -> Finding:
    header = bare.headers.get("www-authenticate", "")
    if bare.status != 401:
        return Finding.failure(
            url,
            f"without a token it answers {bare.status}, and not 401",
            "protect it with NmosAuthMiddleware; look for a switched-off NMOS_AUTH_ENABLED",
        )
    if not header.lower().startswith("bearer") or "error=" in header:
        return Finding.warning(
            url,
            f"its challenge without a token is {header!r}",
            "answer `Bearer` without an error code (RFC 6750 Section 3.1)",
        )
    return Finding.ok(url, "without a token it answers 401 with a challenge")


def _cors(url: str, bare: Answer, preflight: Answer) -> list[Finding]:
    findings = []
    if "access-control-allow-origin" not in bare.headers:
        findings.append(
            Finding.warning(
                url,
                "its refusal has no Access-Control-Allow-Origin, so that a Controller in a browser"
                " cannot read it",
                "set NMOS_AUTH_CORS_ORIGINS to the Controller's origin, or leave it at *",
            )
        )
    allowed = preflight.headers.get("access-control-allow-headers", "").lower()
    if not 200 <= preflight.status < 300 or "authorization" not in allowed:
        findings.append(
            Finding.warning(
                url,
                f"it answers {preflight.status} to a browser's preflight, which does not allow"
                " the header Authorization",
                "let OPTIONS pass without a token, in every proxy in front of the Node too",
            )
        )
    return findings or [Finding.ok(url, "a browser may send its token and read refusals")]


def _without(token: str, finding: Finding) -> Finding:
    """Hide the token, which a Node may repeat as a whole or in part."""
    text = finding.text
    for part in (token, *token.split(".")):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, "[token]")
    return replace(finding, text=f"{text:.500}")


def _passage(url: str, tried: Answer) -> Finding:
    if tried.status < 400:
        return Finding.ok(url, f"the token gets {tried.status}")
    if tried.status not in {400, 401, 403, 503}:
        return Finding.warning(
            url,
            f"the token is not refused, but the Node answers {tried.status}",
            'let the Node answer GET of each API\'s base path (IS-04 "APIs", API Paths)',
        )
    challenge = tried.headers.get("www-authenticate", "")
    return Finding.failure(
        url,
        f"the token gets {tried.status} {challenge}".rstrip(),
        f"ask `nmos-auth explain --token-file FILE GET {url}` on the Node",
    )


async def _check_handshake(host: str, port: int, context: ssl.SSLContext | None) -> list[Finding]:
    """Request a WebSocket without a token, which must be refused with an HTTP answer."""
    subject = f"WebSocket at {_authority(host, port)}"
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    request = (
        f"GET /x-nmos/events/v1.0/ HTTP/1.1\r\nHost: {_authority(host, port)}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_DEADLINE):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=host if context else None
            )
            try:
                writer.write(request.encode("ascii"))
                status = (await reader.readline()).split(b" ")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except OSError as error:
        return [Finding.failure(subject, f"no answer: {_named(error)}", "try again")]
    except ValueError:  # a line without an end
        status = []
    code = int(status[1]) if len(status) > 1 and status[1].isdigit() else 0
    if code == 401:
        return [Finding.ok(subject, "a handshake without a token is answered 401")]
    if code == 101:
        return [
            Finding.failure(
                subject,
                "a handshake without a token is accepted",
                "protect WebSockets too: NmosAuthMiddleware does, decorators on routes do not",
            )
        ]
    return [
        Finding.warning(
            subject,
            f"a handshake without a token is answered {code or 'nothing readable'}, and not 401",
            "use a server that can answer handshakes (uvicorn, hypercorn, granian)",
        )
    ]


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _named(error: OSError) -> str:
    return str(error) or "none within five seconds"
