"""The Node as a Client: it registers itself, with Access Tokens, and stays registered.

- `records`: what is registered, and in which order;
- `behaviour`: what to do next, and what each answer means: IS-04 "Behaviour: Registration" as
  pure functions;
- `failover`: which of several registries to use;
- `registries`: which there are: configured, or discovered by DNS-SD;
- `registry_client`: the requests over HTTP, with tokens;
- `registrar`: the loop that joins all these;
- `running`: all of it, by the settings.
"""

from example_node.registration.running import registered, registries_of

__all__ = ["registered", "registries_of"]
