"""The servers of the demonstration, each on a free port of this machine alone, over TLS."""

import contextlib
import functools
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import trustme
import uvicorn

from example_node.demo.requests import HOST
from example_node.demo.story import EVERYTHING, READ
from nmos_auth.authority import (
    Authority,
    AuthoritySettings,
    Client,
    Permissions,
    create_authority,
)

LIFETIME = 3600
START_DEADLINE = 30.0


def make_certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Make a certificate authority and a certificate for this machine."""
    root = trustme.CA(organization_name="nmos_auth demonstration", key_type=trustme.KeyType.ECDSA)
    server = root.issue_cert(HOST, "127.0.0.1", key_type=trustme.KeyType.ECDSA)
    ca_file, certificate, key = (
        directory / name for name in ("ca.crt", "server.crt", "server.pem")
    )
    root.cert_pem.write_to_path(ca_file)
    for position, pem in enumerate(server.cert_chain_pems):
        pem.write_to_path(certificate, append=position > 0)
    key.touch(mode=0o600)
    server.private_key_pem.write_to_path(key, append=True)
    return ca_file, certificate, key


def make_controller() -> Client:
    """Make a client that may read everything and write single Senders and Receivers."""
    read_and_write = Permissions(read=EVERYTHING, write=("single/*",))
    return Client(
        client_id=f"demo-controller-{secrets.token_hex(8)}",
        client_secret=secrets.token_urlsafe(24),
        audience=(f"https://{HOST}",),
        scopes=("node", "connection", "registration"),
        client_credentials_scopes=("node", "connection", "registration"),
        permissions={"node": READ, "connection": read_and_write},
    )


@contextlib.contextmanager
def authorization_server(client: Client, certificate: Path, key: Path) -> Iterator[Authority]:
    """Run the development Authorization Server in a thread."""
    # With its protocol named, asyncio turns off Nagle's algorithm on what it accepts.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    authority = create_authority(
        AuthoritySettings(
            issuer=f"https://{HOST}:{listener.getsockname()[1]}",
            clients=(client,),
            token_lifetime=LIFETIME,
        )
    )
    server = uvicorn.Server(
        uvicorn.Config(
            authority.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=functools.partial(server.run, sockets=[listener]), daemon=True)
    thread.start()
    try:
        # Connections that come before the server is up wait in the listener's queue.
        yield authority
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()


@contextlib.contextmanager
def node(
    issuer: str, ca_file: Path, certificate: Path, key: Path, directory: Path
) -> Iterator[int]:
    """Run the example Node in a process of its own; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    environment = {
        **os.environ,
        "EXAMPLE_NODE_HOST_NAME": HOST,
        "EXAMPLE_NODE_PORT": str(port),
        "EXAMPLE_NODE_TLS_CERTIFICATE": str(certificate),
        "EXAMPLE_NODE_TLS_KEY": str(key),
        "EXAMPLE_NODE_REGISTRY_DISCOVERY": "off",
        "NMOS_AUTH_AUDIENCE": HOST,
        "NMOS_AUTH_SERVERS": issuer,
        "NMOS_AUTH_CA_FILE": str(ca_file),
        "NMOS_AUTH_AUDIT_LOG": str(directory / "audit.log"),
    }
    with (directory / "node.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "example_node"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until_listening(port, process, directory / "node.log")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"The example Node did not start:\n{log.read_text()}")
