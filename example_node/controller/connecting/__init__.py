"""Connections made, undone and scheduled, by IS-05.

- `plan`       the bodies of PATCH requests: pure functions;
- `outcome`    what became of a change, and the words for it: pure functions;
- `changes`    what is under way for each Receiver, until Node and Registry agree;
- `connector`  sends what is planned, once, and looks where no answer came;
- `salvos`     connections that are kept under a name.
"""

from example_node.controller.connecting.changes import Changes
from example_node.controller.connecting.connector import Connector
from example_node.controller.connecting.outcome import Outcome, Result

__all__ = ["Changes", "Connector", "Outcome", "Result"]
