"""Connections made, undone and scheduled, by IS-05.

- `plan`       the bodies of PATCH requests: pure functions;
- `outcome`    what became of a change, and the words for it: pure functions;
- `changes`    what is under way for each Receiver, until Node and Registry agree;
- `endpoints`  the APIs of Devices, as they are asked and changed;
- `connector`  sends what is planned, one change of a Receiver at a time;
- `trying`     ends each change in a result, and looks where no answer came;
- `once`       a second click gets the result of the first;
- `bulk`       many changes, by one request for each Device;
- `salvos`     connections that are kept under a name.
"""

from example_node.controller.connecting.changes import Changes
from example_node.controller.connecting.connector import Connector
from example_node.controller.connecting.outcome import Outcome, Result

__all__ = ["Changes", "Connector", "Outcome", "Result"]
