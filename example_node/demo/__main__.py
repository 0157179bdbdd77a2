"""The whole story on one machine:   scripts/demo [--once].

A certificate authority is made on the spot. The development Authorization Server runs in this
process; the reference Registry, two Nodes and the Controller run in processes of their own. All
serve TLS on free ports of this machine only.
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

from example_node.demo.chapters import NODE, make_controller, make_other_node, tell
from example_node.demo.requests import HOST, Server, print_table
from example_node.demo.servers import Place, authorization_server, make_place, node, registry
from example_node.demo.servers import controller as run_controller
from example_node.demo.story import Servers, Story
from example_node.demo.visits import make_users, tell_visits
from nmos_auth.authority import Client

OTHER_HOST = "127.0.0.1"
"""Another name of this machine, which only the operator's tokens name."""


def main() -> int:
    """Run the demonstration, and return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the table")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="nmos-auth-demo-"))
        place = make_place(Path(directory))
        context = ssl.create_default_context(cafile=place.ca_file)
        controller, other_node = make_controller(), make_other_node()
        users = make_users((HOST, OTHER_HOST))
        authority = stack.enter_context(
            authorization_server(place, (controller, other_node), tuple(user for user, _ in users))
        )
        registry_port = stack.enter_context(registry(place, authority))
        started = stack.enter_context(run_controller(place, authority, registry_port))
        node_port = stack.enter_context(node(place, authority, registry_port, "Studio A"))
        issuer_port = urllib.parse.urlsplit(authority.settings.issuer).port or 443
        ports = (issuer_port, registry_port, node_port)
        story = Story(authority, Servers(*(Server(port, context) for port in ports)))
        tell(story, controller, other_node)
        stack.enter_context(node(place, authority, registry_port, "Studio B", OTHER_HOST))
        pages = f"https://{HOST}:{started.ready()}"
        passwords = {user.name: password for user, password in users}
        tell_visits(story, pages, passwords)
        print_table(story.rows)
        right = all(row.is_right for row in story.rows)
        if options.once or not right:
            return 0 if right else 1
        _introduce(story, controller, place)
        _invite(pages, passwords)
        signal.pause()
    return 0


def _leave(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _invite(pages: str, passwords: dict[str, str]) -> None:
    print(
        f"""Open the Controller in a browser, which has to accept this run's certificate:

  {pages}

  operator  {passwords["operator"]}    may do everything
  viewer    {passwords["viewer"]}    may look, and at Studio B not even that

Everything is removed at the end: Ctrl-C.
""",
        flush=True,
    )


def _introduce(story: Story, controller: Client, place: Place) -> None:
    secret = controller.client_secret.get_secret_value()
    issuer = story.authority.settings.issuer
    node = f"https://{HOST}:{story.servers.node.port}"
    print(
        f"""
Authorization Server  {issuer}    (for development only)
Reference Registry    https://{HOST}:{story.servers.registry.port}/x-nmos/    and /docs
Reference Node        {node}/x-nmos/    and /docs
Logs                  {place.directory}

Get a token and read with it:

  TOKEN=$(curl -s --cacert {place.ca_file} --user {controller.client_id}:{secret} \\
    --data 'grant_type=client_credentials&scope=node connection' {issuer}/token \\
    | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl --cacert {place.ca_file} -H "Authorization: Bearer $TOKEN" {node}{NODE}/self
"""
    )


if __name__ == "__main__":
    sys.exit(main())
