"""`nmos-auth doctor`: all checks of a deployment, each after those that it depends on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from nmos_auth.operate.deployment import (
    check_audience,
    check_client,
    check_settings,
    find_issuers,
    own_names,
    read_client,
)
from nmos_auth.operate.findings import Finding
from nmos_auth.operate.node_checks import check_node
from nmos_auth.operate.server_checks import check_server
from nmos_auth.settings import Settings, access_to_servers

__all__ = ["examine"]


async def examine(
    node: str | None = None,
    *,
    token: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Finding]:
    """Yield the findings of each check.

    Args:
        node: the origin of a Node to check from outside, or None.
        token: an access token to try there, or None.
        progress: called with what is being checked.
    """
    progress("settings")
    settings, findings = check_settings()
    for finding in findings:
        yield finding
    if settings is not None:
        async for finding in _servers(settings, progress):
            yield finding
    if node is not None:
        progress(node)
        for finding in await check_node(
            node,
            ca_file=settings.ca_file if settings else None,
            audience=own_names(settings),
            token=token,
            clock=time.time,
        ):
            yield finding


async def _servers(settings: Settings, progress: Callable[[str], None]) -> AsyncIterator[Finding]:
    """Check this host's names, each Authorization Server, and what a client needs."""
    client, of_client = read_client()
    progress("DNS-SD")
    issuers, of_discovery = await find_issuers(settings)
    for finding in (*check_audience(settings), *of_discovery):
        yield finding
    access = access_to_servers(settings)
    for issuer in issuers:
        progress(str(issuer))
        for finding in await check_server(
            issuer, access=access, ca_file=settings.ca_file, clock=time.time, client=client
        ):
            yield finding
    for finding in of_client if client is None else check_client(client, issuers):
        yield finding
