"""BCP-003-02 for IS-04 Registries: who owns what is registered, and who may follow it.

A Registration API asks `Ownership` before each change, a Query API `check_subscription` at each
WebSocket. `MemoryOwners` serves a Registry of one process, `nmos_auth.registry.redis.RedisOwners`
one of several.

>>> Owned = Annotated[Ownership, Depends(ownership_of(MemoryOwners()))]  # doctest: +SKIP
>>> created = await ownership.register(body.type, body.data)  # doctest: +SKIP
"""

from nmos_auth.errors import OwnersUnavailable, UnfitResource
from nmos_auth.registry.memory import MemoryOwners
from nmos_auth.registry.owners import Owners, Verdict
from nmos_auth.registry.ownership import Ownership, ownership_of
from nmos_auth.rules.authorization import check_subscription
from nmos_auth.rules.resources import Placement

__all__ = [
    "MemoryOwners",
    "Owners",
    "OwnersUnavailable",
    "Ownership",
    "Placement",
    "UnfitResource",
    "Verdict",
    "check_subscription",
    "ownership_of",
]
