"""What is reported of a WebSocket of events that cannot be opened."""

from __future__ import annotations

import asyncio

import pytest

from nmos_auth.probe.device import Api, Device
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.trials.events import EVENTS
from nmos_auth.probe.wire import Socket, Wire
from tests.probe.scene import AUDIENCE, authorities


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        pytest.param(
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 56\r\n\r\n",
            "401 for the handshake",
            id="a body that never comes",
        ),
        pytest.param(
            b"HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\n",
            "403 for the handshake",
            id="chunks that never come",
        ),
        pytest.param(b"SSH-2.0-x\r\n\r\n", "no connection: InvalidMessage", id="not HTTP"),
    ],
)
async def test_a_refusal_is_reported_with_its_status(answer: bytes, came: str) -> None:
    """Some devices announce a body when they refuse, and end the connection instead of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, authorities() as servers:
        probe = Probe(
            Wire("127.0.0.1", server.sockets[0].getsockname()[1], None),
            servers.authority,
            servers.neighbour,
            Plan(AUDIENCE),
            device=Device((Api("events", "/x-nmos/events/v1.0"),), Socket("/ws")),
        )
        trial = next(each for each in EVENTS if each.id == "events-health")
        result = await trial.run(probe, probe.device.apis[0])
    assert (result.verdict, result.came) == (Verdict.FAIL, came)
