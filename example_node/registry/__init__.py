"""A small FastAPI Registry, protected by nmos_auth: IS-04 v1.3 Registration and Query API.

It keeps everything in memory, and is written to show what a Registry has to do for BCP-003-02:

- `registration_api`             asks who owns what before it changes anything: `Ownership`;
- `query_api`                    asks what a subscription may return: `check_subscription`;
- `registry`, `models`           what is registered, and the shapes of IS-04 that it has to have;
- `queries`, `rql`, `paths`, `paging`  the parameters of the Query API;
- `subscriptions`, `feed`        its WebSockets;
- `advertising`                  has both APIs found by multicast DNS;
- `app`                          puts everything together, and adds the line that protects it.
"""

from example_node.registry.app import create_app
from example_node.registry.settings import Settings

__all__ = ["Settings", "create_app"]
