"""The reference Node and Registry as processes, while their Authorization Server restarts.

`ASGI_NMOS_AUTH_SOAK` says for how many seconds; three minutes otherwise.
"""

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tests.client.development_server import DevelopmentServer
from tests.support.servers import free_port
from tests.support.tls import TestAuthority
from tests.support.waiting import eventually

SECONDS = float(os.environ.get("ASGI_NMOS_AUTH_SOAK", "180"))
TOKEN_LIFETIME = 30
# IS-04 "Behaviour: Registration", Heartbeating: a registry forgets a Node after 12 seconds.
LONGEST_SILENCE = 12.0
ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).with_name("nmos-auth")


@contextlib.contextmanager
def program(*arguments: str, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a Python program until the block ends, which it has to last."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    try:
        yield
        assert process.poll() is None, log.read_text("utf-8")
    finally:
        process.terminate()
        process.wait(20)


def records_of(log: Path) -> list[dict[str, object]]:
    """Read an audit log."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def moment_of(record: dict[str, object]) -> float:
    """Return the time of a record in seconds since 1970."""
    return datetime.fromisoformat(str(record["time"])).timestamp()


def disturb(development: DevelopmentServer, client: Mapping[str, str], ends: float) -> int:
    """Restart the server and change the keys of both sides until then; give how often."""
    chance = random.Random(1)  # noqa: S311 - to be the same with every run
    for number in itertools.count(1):
        with development.running() as server:
            time.sleep(chance.uniform(8, 12))
            subprocess.run(
                [COMMAND, "keys", "rotate", "--announced", "0"],
                env={**os.environ, **client},
                check=True,
                capture_output=True,
            )
            time.sleep(chance.uniform(4, 6))
            # Every fourth time a key is withdrawn, and one signs that nobody has seen.
            keys = server.authority.keys
            if number % 4:
                keys.rotate()
            else:
                keys.replace()
            time.sleep(chance.uniform(12, 18))
        if time.monotonic() > ends:
            return number
        time.sleep(chance.uniform(0, 9))
    raise AssertionError


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 180)
def test_staying_registered(tls: TestAuthority, tmp_path: Path) -> None:
    """No heartbeat fails or is late, nothing is registered twice, and no expired token is sent."""
    development = DevelopmentServer(
        tls, tmp_path / "authority.db", token_lifetime=TOKEN_LIFETIME, port=free_port()
    )
    with development.running() as server:
        initial = server.authority.initial_access_token().get_secret_value()
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    issued = tls.root.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    shared = {
        "NMOS_AUTH_AUDIENCE": "localhost",
        "NMOS_AUTH_SERVERS": f"https://localhost:{development.port}",
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        # How long a key has to be published before it signs.
        "NMOS_AUTH_REFRESH_INTERVAL": "5",
    }
    registry_port, node_port = free_port(), free_port()
    audit_log = tmp_path / "registry-audit.log"
    audit_log.touch(mode=0o600)
    registry = {
        **shared,
        "EXAMPLE_REGISTRY_HOST_NAME": "localhost",
        "EXAMPLE_REGISTRY_PORT": str(registry_port),
        "EXAMPLE_REGISTRY_TLS_CERTIFICATE": str(certificate),
        "EXAMPLE_REGISTRY_TLS_KEY": str(key),
        "NMOS_AUTH_AUDIT_LOG": str(audit_log),
    }
    client = {
        **shared,
        "NMOS_AUTH_CLIENT_STORE": str(tmp_path / "client.json"),
        "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": initial,
    }
    node = {
        **client,
        "EXAMPLE_NODE_HOST_NAME": "localhost",
        "EXAMPLE_NODE_PORT": str(node_port),
        "EXAMPLE_NODE_TLS_CERTIFICATE": str(certificate),
        "EXAMPLE_NODE_TLS_KEY": str(key),
        "EXAMPLE_NODE_REGISTRIES": f"https://localhost:{registry_port}",
        "NMOS_AUTH_AUDIT_LOG": str(tmp_path / "node-audit.log"),
    }
    with (
        program("example_node.registry", environment=registry, log=tmp_path / "registry.log"),
        program("example_node", environment=node, log=tmp_path / "node.log"),
    ):
        with development.running():
            eventually(lambda: '"/x-nmos/registration/v1.3/health/' in audit_log.read_text("utf-8"))
        restarts = disturb(development, client, time.monotonic() + SECONDS)
        records = records_of(audit_log)
    statuses = Counter(each["status"] for each in records)
    reasons = Counter(each["reason"] for each in records if each["outcome"] == "rejected")
    registered = [moment_of(each) for each in records if each["status"] == 201]
    beats = [
        moment_of(each)
        for each in records
        if "/health/nodes/" in str(each["path"]) and each["status"] == 200
    ]
    silence = max(later - earlier for earlier, later in itertools.pairwise(beats))
    print(  # noqa: T201 - what a soak found is worth reading
        f"{restarts} restarts; answers {dict(statuses)}; refused {dict(reasons)};"
        f" {len(registered)} resources; {len(beats)} heartbeats, {silence:.1f} s apart at most;"
        f" requests to the Authorization Server {dict(development.counted.counts)}"
    )
    # Tokens of a key that was withdrawn are void: the Node gets another, once for each of those.
    assert set(reasons) <= {"keys are being fetched", "signature"}
    assert reasons["signature"] <= restarts // 4
    assert set(statuses) <= {200, 201, 401, 503}
    assert max(registered) < beats[2]
    assert silence < LONGEST_SILENCE
    assert time.time() - beats[-1] < LONGEST_SILENCE + 3
    assert development.counted["POST /register"] == 1
