"""The command on the reference Node and Registry as they are run: processes, over TLS."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probe.scene import AUDIENCE
from tests.support.servers import free_port
from tests.support.tls import TestAuthority

# How long an answer takes on a busy machine says nothing of the device.
OF_THE_MACHINE = {"answers-prompt"}
APPS = {"node": "example_node:create_app", "registry": "example_node.registry:create_app"}


@contextlib.contextmanager
def running(app: str, http: str, issuer: str, tls: TestAuthority, directory: Path) -> Iterator[int]:
    """Run an app of the project under uvicorn until the block ends; gives the port."""
    certificate, key = tls.write_server_files("localhost")
    port = free_port()
    environment = {
        **os.environ,
        "NMOS_AUTH_AUDIENCE": AUDIENCE,
        "NMOS_AUTH_SERVERS": issuer,
        "NMOS_AUTH_CA_FILE": str(tls.ca_file),
        "NMOS_AUTH_AUDIT_LOG": str(directory / "audit.log"),
        "EXAMPLE_NODE_INTERFACES": "lo",
        "EXAMPLE_NODE_REGISTRY_DISCOVERY": "off",
        "EXAMPLE_NODE_PORT": str(port),
        "EXAMPLE_REGISTRY_PORT": str(port),
        "EXAMPLE_REGISTRY_PRI": "off",
    }
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", APPS[app], "--port", str(port)),
        *("--http", http, "--ws", "websockets-sansio", "--log-level", "warning"),
        *("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)),
    ]
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.slow
@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("app", sorted(APPS))
def test_nothing_is_found_in_what_the_project_runs(
    app: str, http: str, tls: TestAuthority, tmp_path: Path
) -> None:
    """Exit code 0 with --writes, whichever parser reads the requests, within three minutes."""
    port = free_port()
    certificate, key = tls.write_server_files("localhost", "127.0.0.1")
    with running(app, http, f"https://localhost:{port}", tls, tmp_path) as device:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("nmos-auth"), "probe"),
                *(f"https://localhost:{device}", "--ca-file", tls.ca_file, "--json", "-"),
                *("--listen", f"127.0.0.1:{port}", "--name", "localhost", "--writes"),
                *("--certificate", certificate, "--private-key", key),
                *("--audience", AUDIENCE, "--html", tmp_path / "report.html"),
            ],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (report,) = json.loads(done.stdout)["devices"]
    bad = [each for each in report["results"] if each["verdict"] in {"fail", "warning"}]
    assert [each for each in bad if each["id"] not in OF_THE_MACHINE] == []
    assert report["counts"]["pass"] > 350
    assert "Traceback" not in (tmp_path / "server.log").read_text()
    assert "eyJ" not in (tmp_path / "report.html").read_text()
