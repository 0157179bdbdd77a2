"""What there is to control, as the Query API tells of it: pure models, and what pages show.

- `resources`  what is read of each resource; a Registry may hold anything;
- `plant`      all of them, and which rows of pages a change touches;
- `rows`       what pages show of Receivers and Senders;
- `groups`     natural groups (BCP-002-01);
- `fitting`    which constraint set of a Receiver a Sender's stream meets (BCP-004-01).
"""

from example_node.controller.plant.plant import Plant, Row
from example_node.controller.plant.resources import (
    COLLECTIONS,
    Collection,
    Control,
    Device,
    Flow,
    Node,
    Receiver,
    Sender,
    Source,
)

__all__ = [
    "COLLECTIONS",
    "Collection",
    "Control",
    "Device",
    "Flow",
    "Node",
    "Plant",
    "Receiver",
    "Row",
    "Sender",
    "Source",
]
