"""The reference Node, protected by nmos_auth: IS-04 v1.3, IS-05 v1.1, IS-07 v1.0, IS-08 v1.0.

It is a FastAPI application for engineers who write a Node of their own. Begin with `app`, which
puts everything together and adds the line that protects it. What they would replace:

- `description`   what this Node is: its resources (IS-04). Its Sources of events are described in
                  `events`, and its audio Inputs and Outputs in `channel_mapping`;
- `media`, `capabilities`   what its Senders send and its Receivers accept;
- `node`          the Node as it runs, and where equipment would be programmed.

What they could keep; for each API there is a room for what it does, and a module for its routes:

- `is04`, `resources`, `node_api`   the shapes of the resources (IS-04);
- `connection`, `connection_api`   staging and activation (IS-05);
- `events`, `events_api`   sending and receiving events (IS-07), and permission for each Source;
- `channel_mapping`, `channel_mapping_api`   the map between audio Inputs and Outputs (IS-08);
- `activation`    what IS-05 and IS-08 share;
- `changes`       who changed what, according to the token;
- `client`        the Node as a Client of Authorization Servers, and its public keys;
- `registration`  the Node as a Client of Registration APIs: it registers, with tokens, and stays
                  registered (IS-04 "Behaviour: Registration");
- `conventions`, `errors`   what all NMOS APIs have in common; `serving` and `tls` are below them.

Beside the Node there are `registry`, a small Registry, and `demo`, the story of `scripts/demo`.
"""

from example_node.app import create_app
from example_node.settings import Settings

__all__ = ["Settings", "create_app"]
