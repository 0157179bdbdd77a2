"""Resources to register."""

from example_node import Settings
from example_node.description import Description
from example_node.interfaces import find_interfaces
from example_node.resources import Resources
from tests.example_node.support import HOST, ManualClock

__all__ = ["described_resources"]


def described_resources() -> Resources:
    """Return the reference Node's resources, on a clock that stands still."""
    interfaces = find_interfaces(("lo",))
    return Description(
        Settings(host_name=HOST), ManualClock(), interfaces, authorization=True
    ).resources()
