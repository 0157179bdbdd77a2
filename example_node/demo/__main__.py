"""The whole story on one machine:   scripts/demo [--once].

A certificate authority is made on the spot. The development Authorization Server runs in this
process, the example Node in one of its own; both serve TLS on free ports of this machine alone.
"""

import argparse
import contextlib
import signal
import ssl
import sys
import tempfile
import urllib.parse
from pathlib import Path
from types import FrameType

from example_node.demo.requests import HOST, Https, print_table
from example_node.demo.servers import (
    authorization_server,
    make_certificates,
    make_controller,
    node,
)
from example_node.demo.story import NODE, Story
from nmos_auth.authority import Authority, Client


def main() -> int:
    """Run the demonstration; the return value is the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the table")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nmos-auth-demo-")))
        ca_file, certificate, key = make_certificates(directory)
        context = ssl.create_default_context(cafile=ca_file)
        controller = make_controller()
        authority = stack.enter_context(authorization_server(controller, certificate, key))
        issuer_port = urllib.parse.urlsplit(authority.settings.issuer).port or 443
        node_port = stack.enter_context(
            node(authority.settings.issuer, ca_file, certificate, key, directory)
        )
        story = Story(authority, Https(issuer_port, context), Https(node_port, context))
        story.tell(controller)
        print_table(story.rows)
        right = all(row.is_right for row in story.rows)
        if options.once or not right:
            return 0 if right else 1
        _introduce(authority, controller, node_port, ca_file, directory)
        signal.pause()
    return 0


def _leave(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


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
