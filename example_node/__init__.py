"""A FastAPI Node, protected by nmos_auth: IS-04 v1.3, IS-05 v1.1, IS-07 v1.0, IS-08 v1.0.

It is written to be read by those who want to write a Node of their own. A way through it:

- `app`           puts everything together, and adds the one line that protects it;
- `description`   what this Node is; `resources` has the shapes (IS-04), `capabilities` what its
                  Receivers take;
- `node`          the Node as it runs, and where equipment would be programmed;
- `node_api`      the routes of IS-04;
- `connection`    staging and activation (IS-05), `connection_api` its routes
                  and the use of the token;
- `events`        sending and receiving events (IS-07), `events_api` its routes and WebSocket;
- `channel_mapping`   the map between audio Inputs and Outputs (IS-08), `channel_mapping_api` its
                  routes; `activation` is what IS-05 and IS-08 share;
- `client`        the Node as a Client of Authorization Servers, and its public keys;
- `registration`  the Node as a Client of Registration APIs: it registers, with tokens, and stays
                  registered (IS-04 "Behaviour: Registration");
- `conventions`, `errors`   what all NMOS APIs do alike; `tls` the transport below them.
"""

from example_node.app import create_app
from example_node.settings import Settings

__all__ = ["Settings", "create_app"]
