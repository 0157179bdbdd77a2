"""Runs the Controller:   python -m example_node.controller."""

import logging
import sys

from example_node.controller.app import create_app
from example_node.controller.settings import Settings
from example_node.serving import run

# There are no WebSockets between browsers and the Controller.
LARGEST_MESSAGE = 1024


def main() -> int:
    """Serve the Controller until it is told to stop; the return value is the exit status."""
    # It logs every request, and a busy user makes hundreds.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return run(Settings, create_app, largest_message=LARGEST_MESSAGE)


if __name__ == "__main__":
    sys.exit(main())
