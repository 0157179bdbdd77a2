"""Runs the Registry:   python -m example_node.registry."""

import sys

from example_node.registry.app import create_app
from example_node.registry.settings import Settings
from example_node.serving import run

# Nothing that a client says on a WebSocket has a meaning here.
LARGEST_MESSAGE = 1024


def main() -> int:
    """Serve the Registry until it is told to stop; the return value is the exit status."""
    return run(Settings, create_app, largest_message=LARGEST_MESSAGE)


if __name__ == "__main__":
    sys.exit(main())
