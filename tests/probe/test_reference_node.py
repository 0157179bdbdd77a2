"""The probe on the reference Node and Registry: it finds nothing, and tries every kind of row."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from fastapi import FastAPI

import example_node
import nmos_auth
from example_node import registry
from nmos_auth.probe.hosting import Servers
from nmos_auth.probe.judging import Result, Verdict
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import Wire
from tests.probe.scene import AUDIENCE, activate_senders, authorities, bad
from tests.support.servers import serving


@pytest.fixture(autouse=True)
def _no_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the Node ask no network for registries."""
    monkeypatch.setenv("EXAMPLE_NODE_REGISTRY_DISCOVERY", "off")


def _settings(servers: Servers) -> nmos_auth.Settings:
    return nmos_auth.Settings(
        audience=AUDIENCE, servers=servers.authority.issuer, allow_http=True, audit_log="logging"
    )


async def _probed(app: FastAPI, servers: Servers, *, senders: bool = False) -> list[Result]:
    plan = Plan(AUDIENCE, writes=True, rate=10000)
    with serving(app) as port:
        wire = Wire("127.0.0.1", port, None)
        probe = Probe(wire, servers.authority, servers.neighbour, plan, servers.outsider)
        if senders:
            await activate_senders(probe)
        return [result async for result in probe.run()]


def _faults(results: Iterable[Result]) -> list[Result]:
    listed = list(results)
    return [each for each in listed if each.id in bad(listed)]


def _untested(results: Iterable[Result]) -> set[str]:
    return {each.id for each in results if each.verdict is Verdict.UNTESTED}


async def test_nothing_is_found_in_the_reference_node() -> None:
    """IS-04, IS-05, IS-07 and IS-08 on the wire, WebSockets, rotation and outages included."""
    async with authorities() as servers:
        settings = example_node.Settings(host_name=AUDIENCE, interfaces=("lo",))
        app = example_node.create_app(settings, _settings(servers))
        results = await _probed(app, servers, senders=True)
    assert _faults(results) == []
    assert _untested(results) == {"withdrawal-key"}
    tried = {each.suite for each in results if each.verdict is Verdict.PASS}
    missing = {each.suite for each in results} - tried
    assert missing == {"registry", "subscriptions", "withdrawal"}


async def test_nothing_is_found_in_the_reference_registry() -> None:
    """Ownership and subscriptions, and what was registered is gone afterwards."""
    async with authorities() as servers:
        app = registry.create_app(registry.Settings(pri="off"), _settings(servers))
        results = await _probed(app, servers)
        left = app.state.registry
        assert all(not left[each] for each in ("nodes", "devices"))
    assert _faults(results) == []
    assert _untested(results) == {"withdrawal-key"}
    tried = {each.suite for each in results if each.verdict is Verdict.PASS}
    assert {"registry", "subscriptions"} <= tried
