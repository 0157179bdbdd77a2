"""Runs the Node:   python -m example_node."""

import logging
import sys

from example_node.app import create_app
from example_node.events.subscriptions import LARGEST_COMMAND
from example_node.serving import run
from example_node.settings import Settings


def main() -> int:
    """Serve the Node until it is told to stop; the return value is the exit status."""
    # It would log every request, and there is a heartbeat every five seconds.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return run(Settings, create_app, largest_message=LARGEST_COMMAND)


if __name__ == "__main__":
    sys.exit(main())
