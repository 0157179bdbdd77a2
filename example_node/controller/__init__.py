"""A Controller that people use in a browser; `python -m example_node.controller` runs it.

- `following`    what a Query API knows, followed while it changes; a room that others may copy;
- `plant`        what there is to control: pure models, and what pages show of them;
- `permissions`  what the user's token surely does not permit, in words;
- `reach`        requests to Devices: where a token may go, and bounds on everything else;
- `connecting`   connections made, undone, scheduled: the plan as pure functions, and the edge;
- `event_values` live values of event sources;
- `desk`         all that belongs to one session of a user, and `sessions` all desks;
- `live`         what a browser is told of it while it changes;
- `routing`, `matrix`, `together`, `channels`, `details`, `overview`   the routes, page by page;
- `pages`, `static`, `web`, `security`, `app`   the web application.

Users log in by `nmos_auth.client.login.LoginRoutes`; their tokens stay on this server.
"""

from example_node.controller.app import create_app
from example_node.controller.settings import Settings

__all__ = ["Settings", "create_app"]
