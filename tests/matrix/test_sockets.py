"""WebSockets that end with their tokens, under each server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from nmos_auth.testing import StandInAuthorizationServer
from tests.matrix.processes import SERVERS, environment_of, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DEVICE = "58f6b536-ca4c-43fd-880a-9df2501fc125"
# RFC 6455 Section 7.4.1; Daphne lets an app close with 1000 and 3000 to 4999 only.
CODES = {"daphne": 3000}
LIFETIME = 4


@pytest.mark.parametrize("server", SERVERS)
def test_it_is_closed_when_its_token_ends(
    server: str, nmos_authority: StandInAuthorizationServer, tmp_path: Path
) -> None:
    """With `close`: not before, soon after, and with a code that says why."""
    environment = environment_of(nmos_authority, tmp_path) | {"NMOS_AUTH_EXPIRED_SOCKETS": "close"}
    log = tmp_path / "log"
    with running(SERVERS[server], "tests.matrix.sockets:app", environment, log) as port:
        token = nmos_authority.token(read={"events": [f"devices/{DEVICE}"]}, lifetime=LIFETIME)
        ends = time.time() + LIFETIME
        url = f"ws://127.0.0.1:{port}/x-nmos/events/v1.0/devices/{DEVICE}"
        headers = nmos_authority.headers(token)
        with connect(url, additional_headers=headers, proxy=None) as websocket:
            websocket.send("hello")
            assert websocket.recv(10) == DEVICE
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(30)
            assert time.time() >= ends - 1.1
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CODES.get(server, 1008)
    assert "Traceback" not in log.read_text("utf-8")
