"""An authorization error → status, WWW-Authenticate and NMOS error body (RFC 6750 Section 3)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

from nmos_auth.errors import AuthorizationError, KeysUnavailable, OwnersUnavailable

__all__ = ["ErrorAnswer", "answer_to"]


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a refused client is told: the same fixed texts, whatever the cause."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def answer_to(error: AuthorizationError, realm: str) -> ErrorAnswer:
    """Make the answer for a refused request.

    Args:
        error: why it is refused.
        realm: the protection space, a host name.

    The body is the error object of IS-04 "APIs", Error Codes & Responses: `code`, `error` and
    `debug`.
    """
    retry_after = None
    if isinstance(error, (KeysUnavailable, OwnersUnavailable)):
        retry_after = error.retry_after
    return _answer(error.status, error.code, error.description, retry_after, realm)


@functools.lru_cache(128)  # a flood of refusals gets the same few
def _answer(
    status: int, code: str | None, description: str, retry_after: int | None, realm: str
) -> ErrorAnswer:
    body = json.dumps({"code": status, "error": description, "debug": code}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 401 or code is not None:
        headers.append((b"www-authenticate", _challenge(code, description, realm).encode()))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    return ErrorAnswer(status, tuple(headers), body)


def _challenge(code: str | None, description: str, realm: str) -> str:
    # Clients in the field, AMWA's testing tool among them, split at commas without trimming and
    # compare the error code without unquoting; RFC 9110 Section 11.2 allows a token as the value.
    challenge = f'Bearer realm="{realm}"'
    if code is None:
        return challenge
    return f'{challenge},error={code},error_description="{description}"'
