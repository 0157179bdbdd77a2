"""The servers of the demonstration, over TLS, each on a free loopback port."""

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
    User,
    create_authority,
)

LIFETIME = 3600
START_DEADLINE = 30.0


@dataclass(frozen=True)
class Place:
    """The files of the demonstration, including the certificates of its servers.

    Attributes:
        directory: for logs.
        ca_file: the root certificate.
        certificate: the certificate of every server.
        key: its private key.
    """

    directory: Path
    ca_file: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Started:
    """A server that has been started in a process of its own."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ready(self) -> int:
        """Wait until it listens, and return its port."""
        deadline = time.monotonic() + START_DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return self.port
            time.sleep(0.05)
        raise SystemExit(f"The reference {self.name} did not start:\n{self.log.read_text()}")


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
def authorization_server(
    place: Place, clients: tuple[Client, ...], users: tuple[User, ...]
) -> Iterator[Authority]:
    """Run the development Authorization Server in a thread."""
    # If its protocol is named, asyncio turns off Nagle's algorithm for accepted connections.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    authority = create_authority(
        AuthoritySettings(
            issuer=f"https://{HOST}:{listener.getsockname()[1]}",
            clients=clients,
            users=users,
            token_lifetime=LIFETIME,
            # What Nodes get that register themselves, and how their keys are fetched.
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
    """Run the reference Registry in a process of its own, and yield its port."""
    own = {"EXAMPLE_REGISTRY_PRI": "off"}  # the Node is told where it is
    with _running("example_node.registry", "EXAMPLE_REGISTRY", place, authority, own) as started:
        yield started.ready()


@contextlib.contextmanager
def node(
    place: Place, authority: Authority, registry_port: int, label: str, host: str = HOST
) -> Iterator[int]:
    """Run a reference Node, which registers itself, in a process of its own; yield its port.

    Args:
        place: the files of the demonstration.
        authority: the Authorization Server with which it registers.
        registry_port: the port of the Registry.
        label: its name.
        host: the name of this machine that it uses; tokens for it must have this audience.
    """
    initial_token = authority.initial_access_token().get_secret_value()
    own = {
        "EXAMPLE_NODE_LABEL": label,
        "EXAMPLE_NODE_SEED": label,
        "EXAMPLE_NODE_HOST_NAME": host,
        "NMOS_AUTH_AUDIENCE": host,
        "EXAMPLE_NODE_REGISTRIES": f"https://{HOST}:{registry_port}",
        "NMOS_AUTH_CLIENT_INITIAL_ACCESS_TOKEN": initial_token,
    }
    with _running("example_node", "EXAMPLE_NODE", place, authority, own) as started:
        yield started.ready()


@contextlib.contextmanager
def controller(place: Place, authority: Authority, registry_port: int) -> Iterator[Started]:
    """Run the Controller in a process of its own; it starts while other things happen."""
    own = {
        "EXAMPLE_CONTROLLER_REGISTRIES": f"https://{HOST}:{registry_port}",
        # All Devices of the demonstration are on this machine.
        "EXAMPLE_CONTROLLER_NETWORKS": "127.0.0.0/8,::1/128",
    }
    module, prefix = "example_node.controller", "EXAMPLE_CONTROLLER"
    with _running(module, prefix, place, authority, own) as started:
        yield started


@contextlib.contextmanager
def _running(
    module: str, prefix: str, place: Place, authority: Authority, own: Mapping[str, str]
) -> Iterator[Started]:
    label = own.get(f"{prefix}_LABEL", "").lower().replace(" ", "-")
    name = "-".join(filter(None, (prefix.removeprefix("EXAMPLE_").lower(), label)))
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
        process = subprocess.Popen(  # noqa: S603 - a module of this package
            [sys.executable, "-m", module], env=environment, stdout=log, stderr=log
        )
    try:
        yield Started(name, port, process, log_file)
    finally:
        process.terminate()
        process.wait(10)
