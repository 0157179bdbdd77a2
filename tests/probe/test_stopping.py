"""A run that is stopped leaves nothing behind, and what one run met is not the next one's."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import Wire
from tests.probe.broken_node import BrokenNode
from tests.probe.broken_registry import BrokenRegistry
from tests.probe.scene import AUDIENCE, Clock, authorities, bad
from tests.support.servers import free_port, serving

# A shell has what it runs in the background ignore the interrupt, and so would this program.
INTERRUPTIBLE = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from nmos_auth.cli import main
sys.exit(main())
"""


async def test_what_was_registered_is_deleted() -> None:
    """Whoever stops in the middle of the rows of ownership."""
    async with authorities() as servers:
        registry = BrokenRegistry(servers.authority.issuer, AUDIENCE)
        there = asyncio.Event()

        def watch(title: str) -> None:
            if title.startswith("a heartbeat of another client's"):
                there.set()

        with serving(registry, lifespan="off") as port:
            plan = Plan(AUDIENCE, [Suite.REGISTRY], writes=True, rate=10000)
            wire = Wire("127.0.0.1", port, None)
            probe = Probe(wire, servers.authority, servers.neighbour, plan, progress=watch)

            async def run() -> None:
                async for _ in probe.run():
                    pass

            running = asyncio.create_task(run())
            await asyncio.wait_for(there.wait(), 20)
            assert registry.resources
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert registry.resources == {}


async def test_a_node_of_others_is_left_alone() -> None:
    """Even in a Registry that lets anybody delete it, where a user names its id by mistake."""
    node_id = "00000000-0000-4000-8000-000000000001"
    async with authorities() as servers:
        faults = frozenset({"nobody owns anything", "deletions unchecked"})
        registry = BrokenRegistry(servers.authority.issuer, AUDIENCE, faults)
        theirs: dict[str, object] = {"id": node_id, "label": "Theirs"}
        registry.resources[node_id] = theirs
        with serving(registry, lifespan="off") as port:
            plan = Plan(AUDIENCE, [Suite.REGISTRY], writes=True, rate=10000, node_id=node_id)
            wire = Wire("127.0.0.1", port, None)
            probe = Probe(wire, servers.authority, servers.neighbour, plan)
            results = [each async for each in probe.run()]
    assert registry.resources == {node_id: theirs}
    assert {each.verdict for each in results} == {Verdict.UNTESTED}
    assert all("the Node may exist" in each.came for each in results)


def test_the_reports_have_what_was_found(tmp_path: Path) -> None:
    """After an interrupt as well; what to set back is said."""
    port = free_port()
    node = BrokenNode(f"http://127.0.0.1:{port}", AUDIENCE)
    with serving(node, lifespan="off") as device:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", INTERRUPTIBLE, "probe"),
                *(f"http://127.0.0.1:{device}", "--http", "--listen", f"127.0.0.1:{port}"),
                *("--audience", AUDIENCE, "--rate", "20", "--json", "r.json"),
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        while "credentials-good" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    (report,) = json.loads((tmp_path / "r.json").read_text())["devices"]
    assert "credentials-good" in {each["id"] for each in report["results"]}
    assert "from the device's settings" in errors
    assert "Traceback" not in errors


async def test_a_device_that_keeps_keys_by_kid_is_judged_twice() -> None:
    """No two runs publish different keys under the same `kid`."""
    clock = Clock()
    async with authorities() as servers:
        node = BrokenNode(servers.authority.issuer, AUDIENCE, clock=clock.now)
        node.tokens.by_kid = True
        with serving(node, lifespan="off") as port:
            wire = Wire("127.0.0.1", port, None)
            plan = Plan(AUDIENCE, [Suite.KEYS, Suite.OUTAGES], rate=10000)
            for _ in range(2):
                probe = Probe(wire, servers.authority, servers.neighbour, plan, servers.outsider)
                probe.clock, probe.sleep = clock.now, clock.sleep
                assert bad([each async for each in probe.run()]) == set()


async def test_a_device_answers_for_itself_only() -> None:
    """Connections that the device before it made are not its own."""
    clock = Clock()
    async with authorities() as servers:
        outsider = servers.outsider
        assert outsider is not None
        await Wire("127.0.0.1", outsider.port, None).ask("GET", "/")
        assert outsider.connections
        node = BrokenNode(servers.authority.issuer, AUDIENCE)
        with serving(node, lifespan="off") as port:
            plan = Plan(AUDIENCE, [Suite.ISSUERS], rate=10000)
            probe = Probe(
                Wire("127.0.0.1", port, None),
                servers.authority,
                servers.neighbour,
                plan,
                outsider,
                clock=clock.now,
                sleep=clock.sleep,
            )
            results = {each.id: each async for each in probe.run()}
    assert results["issuers-outsider-asked"].verdict is Verdict.PASS
