"""The probe on the reference Node: it finds nothing, and tries every kind of row."""

from __future__ import annotations

import pytest

import nmos_auth
from example_node import Settings, create_app
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import Wire
from tests.probe.scene import AUDIENCE, authorities, bad
from tests.support.servers import serving


@pytest.fixture(autouse=True)
def _no_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the Node ask no network for registries."""
    monkeypatch.setenv("EXAMPLE_NODE_REGISTRY_DISCOVERY", "off")


async def test_nothing_is_found_in_the_reference_node() -> None:
    """IS-04, IS-05, IS-07 and IS-08 on the wire, WebSockets, rotation and an outage included."""
    async with authorities() as (authority, neighbour):
        app = create_app(
            Settings(host_name=AUDIENCE, interfaces=("lo",)),
            nmos_auth.Settings(
                audience=AUDIENCE,
                servers=authority.issuer,
                allow_http=True,
                audit_log="logging",
            ),
        )
        device = next(iter(app.state.node.resources.devices))
        with serving(app) as port:
            websocket = f"/x-nmos/events/v1.0/devices/{device}"
            plan = Plan(AUDIENCE, writes=True, rate=10000, websocket=websocket)
            probe = Probe(Wire("127.0.0.1", port, None), authority, neighbour, plan)
            results = [result async for result in probe.run()]
    assert [each for each in results if each.id in bad(results)] == []
    assert {each.id for each in results if each.verdict is Verdict.UNTESTED} == set()
    tried = {each.suite for each in results if each.verdict is Verdict.PASS}
    assert tried == {each.suite for each in results}
