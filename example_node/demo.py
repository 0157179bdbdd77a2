"""The whole story on one machine:   scripts/demo [--once].

A certificate authority is made on the spot. The development Authorization Server runs in this
process, the example Node in one of its own; both serve TLS on free ports of this machine alone.
"""

import argparse
import contextlib
import functools
import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import trustme
import uvicorn

from nmos_auth.authority import (
    Authority,
    AuthoritySettings,
    Client,
    Permissions,
    TokenIssuer,
    create_authority,
)

HOST = "localhost"
LIFETIME = 3600
START_DEADLINE = 30.0
EVERYTHING = ("*",)

NODE = "/x-nmos/node/v1.3"
CONNECTION = "/x-nmos/connection/v1.1"


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the RFC 6750 error code if any, and the body."""

    status: int
    error: str
    retry_after: str | None
    body: bytes

    @property
    def summary(self) -> str:
        """The answer as the table shows it."""
        return f"{self.status} {self.error}".strip()


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    request: str
    expected: str
    answer: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is the one that IS-10 asks for."""
        return self.expected == self.answer


@dataclass(frozen=True)
class Https:
    """Sends requests to one server on this machine, byte for byte as given."""

    port: int
    context: ssl.SSLContext

    def request(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPSConnection(HOST, self.port, context=self.context, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            challenge = response.headers.get("WWW-Authenticate", "")
            error = challenge.partition("error=")[2].partition(",")[0]
            return Answer(
                response.status, error, response.headers.get("Retry-After"), response.read()
            )


class Story:
    """Sends the requests, one after another, and keeps the rows of the table."""

    def __init__(self, authority: Authority, server: Https, node: Https) -> None:
        self._authority = authority
        self._server = server
        self._node = node
        self.rows: list[Row] = []

    def token(self, client: Client) -> str:
        """Get a token by the Client Credentials grant (RFC 6749 Section 4.4)."""
        secret = client.client_secret.get_secret_value()
        credentials = b64encode(f"{client.client_id}:{secret}".encode()).decode()
        form = {"grant_type": "client_credentials", "scope": " ".join(client.scopes)}
        answer = self._server.request(
            "POST",
            "/token",
            {
                "Authorization": f"Basic {credentials}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urllib.parse.urlencode(form).encode(),
        )
        token = json.loads(answer.body)["access_token"]
        assert isinstance(token, str)  # noqa: S101 - by RFC 6749 Section 5.1
        return token

    def ask(
        self,
        what: str,
        expected: str,
        target: str,
        token: str | None = None,
        *,
        change: object = None,
    ) -> Answer:
        """Send a GET, or a PATCH where there is something to change, and add a row."""
        method = "GET" if change is None else "PATCH"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = None
        if change is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(change).encode()
        answer = self._node.request(method, target, headers, body)
        self.rows.append(Row(what, f"{method} {_shortened(target)}", expected, answer.summary))
        return answer

    def settle(self, target: str, token: str) -> None:
        """Ask until the Node has the keys, waiting as long as it says each time."""
        for _ in range(10):
            answer = self._node.request("GET", target, {"Authorization": f"Bearer {token}"})
            if answer.retry_after is None:
                return
            time.sleep(float(answer.retry_after))

    def tell(self, controller: Client) -> None:
        """Send everything that the table shows."""
        reader = controller.model_copy(update={"permissions": {"connection": _READ, "node": _READ}})
        issue = self._authority.tokens.issue
        scopes = controller.scopes
        good = self.token(controller)
        self.settle(f"{NODE}/self", good)
        expired = _issued_in_the_past(self._authority).issue(controller, scopes).text
        elsewhere = controller.model_copy(update={"audience": ("https://*.example.org",)})
        unscoped = issue(controller, ["registration"]).text
        read_only = issue(reader, scopes).text
        senders = json.loads(self.ask("read", "200", f"{CONNECTION}/single/senders", good).body)
        staged = f"{CONNECTION}/single/senders/{senders[0]}staged"

        self.ask("public path, no token", "200", "/x-nmos/")
        self.ask("no token", "401", f"{NODE}/self")
        self.ask("rubbish for a token", "401 invalid_token", f"{NODE}/self", "rubbish")
        self.ask("expired", "401 invalid_token", f"{NODE}/self", expired)
        self.ask(
            "another audience",
            "403 insufficient_scope",
            f"{NODE}/self",
            issue(elsewhere, scopes).text,
        )
        self.ask("another scope", "403 insufficient_scope", f"{NODE}/self", unscoped)
        self.ask("read", "200", f"{NODE}/self", good)
        change = {"master_enable": True}
        self.ask(
            "write, token may only read", "403 insufficient_scope", staged, read_only, change=change
        )
        self.ask("write", "200", staged, good, change=change)
        around = f"{CONNECTION}/single/%2e%2e/bulk/senders"
        self.ask("write, round by dots", "403 insufficient_scope", around, good, change=[])
        self._rotate(controller, good)

    def _rotate(self, controller: Client, old: str) -> None:
        self._authority.keys.rotate()
        announced = self.token(controller)
        self.ask("next key signs, known already", "200", f"{NODE}/self", announced)
        self.ask("former key, still published", "200", f"{NODE}/self", old)
        self._authority.keys.replace()
        surprise = self.token(controller)
        self.ask("key that nobody has seen", "503", f"{NODE}/self", surprise)
        self.settle(f"{NODE}/self", surprise)
        self.ask("the same, after Retry-After", "200", f"{NODE}/self", surprise)
        self.settle(f"{NODE}/self", announced)
        self.ask("key that was withdrawn", "401 invalid_token", f"{NODE}/self", announced)


_READ = Permissions(read=EVERYTHING)


def _issued_in_the_past(authority: Authority) -> TokenIssuer:
    settings = authority.settings
    return TokenIssuer(
        settings.issuer, authority.keys, lifetime=30, clock=lambda: time.time() - 120
    )


def _shortened(target: str) -> str:
    return "/".join(
        f"{segment[:8]}…" if len(segment) > 20 else segment for segment in target.split("/")
    )


def main() -> int:
    """Run the demonstration; the return value is the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the table")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nmos-auth-demo-")))
        ca_file, certificate, key = _make_certificates(directory)
        context = ssl.create_default_context(cafile=ca_file)
        controller = _controller()
        authority = stack.enter_context(_authorization_server(controller, certificate, key))
        issuer_port = urllib.parse.urlsplit(authority.settings.issuer).port or 443
        node_port = stack.enter_context(
            _node(authority.settings.issuer, ca_file, certificate, key, directory)
        )
        story = Story(authority, Https(issuer_port, context), Https(node_port, context))
        story.tell(controller)
        _print_table(story.rows)
        right = all(row.is_right for row in story.rows)
        if options.once or not right:
            return 0 if right else 1
        _introduce(authority, controller, node_port, ca_file, directory)
        signal.pause()
    return 0


def _leave(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _make_certificates(directory: Path) -> tuple[Path, Path, Path]:
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


def _controller() -> Client:
    read_and_write = Permissions(read=EVERYTHING, write=("single/*",))
    return Client(
        client_id=f"demo-controller-{secrets.token_hex(8)}",
        client_secret=secrets.token_urlsafe(24),
        audience=(f"https://{HOST}",),
        scopes=("node", "connection", "registration"),
        client_credentials_scopes=("node", "connection", "registration"),
        permissions={"node": _READ, "connection": read_and_write},
    )


@contextlib.contextmanager
def _authorization_server(client: Client, certificate: Path, key: Path) -> Iterator[Authority]:
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
def _node(
    issuer: str, ca_file: Path, certificate: Path, key: Path, directory: Path
) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    environment = {
        **os.environ,
        "EXAMPLE_NODE_HOST_NAME": HOST,
        "EXAMPLE_NODE_PORT": str(port),
        "EXAMPLE_NODE_TLS_CERTIFICATE": str(certificate),
        "EXAMPLE_NODE_TLS_KEY": str(key),
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


def _print_table(rows: list[Row]) -> None:
    columns: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("what is sent", lambda row: row.what),
        ("request", lambda row: row.request),
        ("wanted", lambda row: row.expected),
        ("answer", lambda row: row.answer),
        ("", lambda row: "ok" if row.is_right else "WRONG"),
    )
    widths = [max(len(title), *(len(cell(row)) for row in rows)) for title, cell in columns]
    lines = [[title for title, _ in columns], ["-" * width for width in widths]]
    lines += [[cell(row) for _, cell in columns] for row in rows]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def _introduce(
    authority: Authority, controller: Client, node_port: int, ca_file: Path, directory: Path
) -> None:
    secret = controller.client_secret.get_secret_value()
    issuer = authority.settings.issuer
    print(
        f"""
Authorization Server  {issuer}    (for development only)
Example Node          https://{HOST}:{node_port}/x-nmos/    and /docs
Audit log             {directory / "audit.log"}

Get a token and read with it:

  TOKEN=$(curl -s --cacert {ca_file} --user {controller.client_id}:{secret} \\
    --data 'grant_type=client_credentials&scope=node connection' {issuer}/token \\
    | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl --cacert {ca_file} -H "Authorization: Bearer $TOKEN" https://{HOST}:{node_port}{NODE}/self

Everything is removed at the end: Ctrl-C.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
