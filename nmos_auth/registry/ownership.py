"""The dependency that the handlers of a Registration API use (BCP-003-02)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends

from nmos_auth.dependencies import access_token
from nmos_auth.errors import Detail, InsufficientScope, OwnersUnavailable, Reason, UnfitResource
from nmos_auth.registry.owners import Owners, Verdict
from nmos_auth.rules.access_token import AccessToken
from nmos_auth.rules.resources import COLLECTIONS, is_resource_id, place

__all__ = ["Ownership", "ownership_of"]


class Ownership:
    """What the client of one request may do with registered resources.

    A Registry asks before it makes a change, and makes the change right after: the owner is decided
    and remembered when it asks. Client ids are compared as they are, with `azp` where there is no
    `client_id`; it does not matter which trusted issuer signed the token. While NMOS_AUTH_ENABLED
    is false there are no clients: nothing is remembered and everything is permitted.

    Args:
        owners: who owns what.
        token: the request's.

    Source: BCP-003-02 "IS-04 - Discovery and Registration", Registry Client Authorization.
    """

    def __init__(self, owners: Owners, token: AccessToken) -> None:
        self._owners = owners
        self._token = token
        # Authentic tokens name a client; see AccessToken.unrestricted.
        self._is_nobody = not token.client_id

    async def register(self, resource_type: object, data: object) -> bool:
        """Check a `POST` to `/resource`, and remember what it registers.

        Args:
            resource_type: `type` of the body, as it came.
            data: `data` of the body, as it came; only its ids are read.

        Returns:
            Whether the resource is new. If the Registry still has a resource with this id, it is
            left over from a Node whose heartbeats ended: remove it with everything below it.

        Raises:
            InsufficientScope: it belongs to another client, or its parent does.
            UnfitResource: it is malformed, its parent is not registered, its id belongs to a
                resource of another type, or the client has as many resources as it may have.
            OwnersUnavailable: the owner cannot be looked up.

            >>> created = await ownership.register(body.type, body.data)  # doctest: +SKIP
        """
        if self._is_nobody:
            return False
        placement = place(resource_type, data)
        verdict = await self._asked(self._owners.register(self._token.client_id, placement))
        if verdict is Verdict.ABSENT:
            detail = Detail.of(
                "{} {} belongs to {} {}, which is not registered, or another resource has its id",
                placement.type,
                placement.id,
                placement.parent_type,
                placement.parent,
            )
            raise UnfitResource(Reason.UNFIT, token=self._token, detail=detail)
        if verdict is Verdict.FULL:
            raise UnfitResource(Reason.FULL, token=self._token)
        return verdict is Verdict.CREATED

    async def delete(self, collection: str, resource_id: str) -> bool:
        """Check a `DELETE` of `/resource/{collection}/{resource_id}`, and forget what it deletes.

        Args:
            collection: "nodes", "devices" and so on, as it came.
            resource_id: the id of the path, as it came.

        Returns:
            Whether there is such a resource.

        Raises:
            InsufficientScope: it belongs to another client.
            OwnersUnavailable: the owner cannot be looked up.
        """
        if self._is_nobody:
            return True
        resource_type = COLLECTIONS.get(collection)
        if resource_type is None or not is_resource_id(resource_id):
            return False
        verdict = await self._asked(
            self._owners.delete(self._token.client_id, resource_type, resource_id)
        )
        return verdict is Verdict.DONE

    async def heartbeat(self, node_id: str) -> bool:
        """Check a `POST` to `/health/nodes/{node_id}`, and keep the Node for another lifetime.

        Args:
            node_id: the id of the path, as it came.

        Returns:
            Whether there is such a Node.

        Raises:
            InsufficientScope: it belongs to another client.
            OwnersUnavailable: the owner cannot be looked up.
        """
        if self._is_nobody:
            return True
        if not is_resource_id(node_id):
            return False
        verdict = await self._asked(self._owners.heartbeat(self._token.client_id, node_id))
        return verdict is Verdict.DONE

    async def _asked(self, question: Awaitable[Verdict]) -> Verdict:
        try:
            verdict = await question
        except OwnersUnavailable as error:
            raise OwnersUnavailable(error.reason, token=self._token) from error
        if verdict is Verdict.REFUSED:
            raise InsufficientScope(Reason.OWNER, token=self._token)
        return verdict


def ownership_of(owners: Owners) -> Callable[..., Awaitable[Ownership]]:
    """Make the dependency for the handlers of a Registration API.

    Args:
        owners: who owns what; one object for the whole Registry.

        >>> Owned = Annotated[Ownership, Depends(ownership_of(owners))]  # doctest: +SKIP
    """

    async def ownership(token: Annotated[AccessToken, Depends(access_token)]) -> Ownership:
        return Ownership(owners, token)

    return ownership
