"""An authorization error → status, WWW-Authenticate and NMOS error body (RFC 6750 Section 3)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nmos_auth.errors import AuthorizationError, KeysUnavailable, OwnersUnavailable

__all__ = ["Answer", "answer_to"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a refused client is told: the same fixed texts, whatever the cause."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def answer_to(error: AuthorizationError, realm: str) -> Answer:
    """Make the answer for a refused request.

    Args:
        error: why it is refused.
        realm: the protection space, a host name.

    The body is the error object of IS-04 "APIs: Common Keys", `code`, `error` and `debug`.
    """
    body = json.dumps(
        {"code": error.status, "error": error.description, "debug": error.code}
    ).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if error.status == 401 or error.code is not None:
        headers.append((b"www-authenticate", _challenge(error, realm).encode()))
    if isinstance(error, (KeysUnavailable, OwnersUnavailable)):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    return Answer(error.status, tuple(headers), body)


def _challenge(error: AuthorizationError, realm: str) -> str:
    # Clients in the field, AMWA's testing tool among them, split at commas without trimming and
    # compare the error code without unquoting; RFC 9110 Section 11.2 allows a token as the value.
    challenge = f'Bearer realm="{realm}"'
    if error.code is None:
        return challenge
    return f'{challenge},error={error.code},error_description="{error.description}"'
