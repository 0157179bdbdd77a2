"""BCP-003-02 for IS-04 Registries: who owns what is registered, and who may follow it.

owners = MemoryOwners()  # for a Registry of several processes nmos_auth.registry.redis has another
Owned = Annotated[Ownership, Depends(ownership_of(owners))]

@app.post("/x-nmos/registration/v1.3/resource")
async def register(body: Registration, ownership: Owned) -> …:
    created = await ownership.register(body.type, body.data)
"""

from nmos_auth.authorization import check_subscription
from nmos_auth.errors import OwnersUnavailable, UnfitResource
from nmos_auth.registry.memory import MemoryOwners
from nmos_auth.registry.owners import Owners, Verdict
from nmos_auth.registry.ownership import Ownership, ownership_of
from nmos_auth.resources import Placement

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
