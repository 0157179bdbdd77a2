"""The servers of the demonstration, each on a free port of this machine only, over TLS."""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme
import uvicorn

from example_node.demo.requests import HOST
from nmos_auth.authority import (
    Authority,
    AuthoritySettings,
    Client,
    RegistrationPolicy,
    create_authority,
)

LIFETIME = 3600
START_DEADLINE = 30.0


@dataclass(frozen=True)
class Place:
    """Where the files of the demonstration are, and how servers prove who they are.

    Attributes:
        directory: for logs.
        ca_file: the root certificate.
        certificate: of every server.
        key: its private key.
    """

    directory: Path
    ca_file: Path
    certificate: Path
    key: Path


def make_place(directory: Path) -> Place:
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
    return Place(directory, ca_file, certificate, key)


@contextlib.contextmanager
def authorization_server(place: Place, *clients: Client) -> Iterator[Authority]:
    """Run the development Authorization Server in a thread."""
    # With its protocol named, asyncio turns off Nagle's algorithm on what it accepts.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    authority = create_authority(
        AuthoritySettings(
            issuer=f"https://{HOST}:{listener.getsockname()[1]}",
            clients=clients,
            token_lifetime=LIFETIME,
            # What Nodes that register themselves get, and how their keys are fetched.
            registration=RegistrationPolicy(audience=(HOST,)),
            ca_file=place.ca_file,
        )
    )
    server = uvicorn.Server(
        uvicorn.Config(
            authority.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
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
def registry(place: Place, authority: Authority) -> Iterator[int]:
    """Run the reference Registry in a process of its own; gives its port."""
    own = {"EXAMPLE_REGISTRY_PRI": "off"}  # the Node is told where it is
    with _running("example_node.registry", "EXAMPLE_REGISTRY", place, authority, own) as port:
        yield port


@contextlib.contextmanager
def node(place: Place, authority: Authority, registry_port: int) -> Iterator[int]:
    """Run the reference Node in a process of its own, which registers itself; gives its port."""
    initial_token = authority.initial_access_token().get_secret_value()
    own = {
        "EXAMPLE_NODE_REGISTRIES": f"https://{HOST}:{registry_port}",
        "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": initial_token,
    }
    with _running("example_node", "EXAMPLE_NODE", place, authority, own) as port:
        yield port


@contextlib.contextmanager
def _running(
    module: str, prefix: str, place: Place, authority: Authority, own: Mapping[str, str]
) -> Iterator[int]:
    name = prefix.removeprefix("EXAMPLE_").lower()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    environment = {
        **os.environ,
        f"{prefix}_HOST_NAME": HOST,
        f"{prefix}_PORT": str(port),
        f"{prefix}_TLS_CERTIFICATE": str(place.certificate),
        f"{prefix}_TLS_KEY": str(place.key),
        "NMOS_AUTH_AUDIENCE": HOST,
        "NMOS_AUTH_SERVERS": authority.settings.issuer,
        "NMOS_AUTH_CA_FILE": str(place.ca_file),
        "NMOS_AUTH_AUDIT_LOG": str(place.directory / f"{name}-audit.log"),
        **own,
    }
    log_file = place.directory / f"{name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - one of two modules of this package
            [sys.executable, "-m", module], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until_listening(name, port, process, log_file)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_listening(
    name: str, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"The reference {name} did not start:\n{log.read_text()}")
