"""Certificates that no client may accept for localhost."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable

import trustme

from tests.support.tls import TestAuthority

__all__ = ["BAD_CERTIFICATES"]


def _expired(tls: TestAuthority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    tls.root.issue_cert("localhost", not_after=yesterday).configure_cert(context)
    return context


def _of_another_root(_: TestAuthority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("localhost").configure_cert(context)
    return context


def _for_another_host(tls: TestAuthority) -> ssl.SSLContext:
    return tls.server_context("auth.example.com", "127.0.0.1")


BAD_CERTIFICATES: dict[str, Callable[[TestAuthority], ssl.SSLContext]] = {
    "expired": _expired,
    "of another root": _of_another_root,
    "for another host": _for_another_host,
}
