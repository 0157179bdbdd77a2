"""The HTTP side of the Connection API, IS-05 v1.1.

The middleware has already checked that a token allows the request's method and path. The handlers
do two more things, which use the token:

- Each change of `staged` is recorded with the client that made it.
- A bulk request writes to `bulk/senders`, but what it changes are single Senders. This Node applies
  each entry only if the token allows writing to that Sender's own `single/senders/{id}/staged`;
  IS-10 leaves this open, and without it a permission for `bulk/*` would reach every Sender.
"""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, Response

from example_node.changes import Token
from example_node.connection.endpoint import Endpoint, PatchT, Staged, StateT
from example_node.connection.models import (
    BulkEntry,
    BulkResult,
    Constraint,
    ReceiverPatch,
    ReceiverState,
    SenderPatch,
    SenderState,
)
from example_node.errors import ForbiddenError, NmosError, NotFoundError, found, read
from example_node.is04 import ListOf
from example_node.node import ReferenceNode
from nmos_auth import AccessToken

BASE = ("bulk/", "single/")
KINDS = ("senders/", "receivers/")
SENDER_CHILDREN = ("constraints/", "staged/", "active/", "transportfile/", "transporttype/")
RECEIVER_CHILDREN = ("constraints/", "staged/", "active/", "transporttype/")

LegConstraints = list[dict[str, Constraint]]


def router(node: ReferenceNode) -> APIRouter:
    """Make the routes below /x-nmos/connection/v1.1."""
    api = APIRouter(tags=["IS-05 Connection API"])

    @api.get("")
    async def get_base() -> tuple[str, ...]:
        return BASE

    @api.get("/single")
    async def get_single() -> tuple[str, ...]:
        return KINDS

    _add_senders(api, node)
    _add_receivers(api, node)
    _add_bulk(api, node)
    return api


def _add_senders(api: APIRouter, node: ReferenceNode) -> None:
    senders = node.senders

    @api.get("/single/senders")
    async def get_senders() -> list[str]:
        return [f"{sender_id}/" for sender_id in senders]

    @api.get("/single/senders/{sender_id}")
    async def get_sender(sender_id: str) -> tuple[str, ...]:
        found(senders, sender_id)
        return SENDER_CHILDREN

    @api.get("/single/senders/{sender_id}/constraints", response_model_exclude_none=True)
    async def get_sender_constraints(sender_id: str) -> LegConstraints:
        return [dict(leg) for leg in found(senders, sender_id).constraints]

    @api.get("/single/senders/{sender_id}/staged")
    async def get_sender_staged(sender_id: str) -> SenderState:
        return found(senders, sender_id).staged

    @api.patch("/single/senders/{sender_id}/staged")
    async def patch_sender_staged(
        sender_id: str, patch: SenderPatch, token: Token, response: Response
    ) -> SenderState:
        sender = found(senders, sender_id)
        staging = _Staging(node, token)
        staged = await staging.stage(sender, patch, f"single/senders/{sender_id}/staged")
        response.status_code = staged.status
        return staged.state

    @api.get("/single/senders/{sender_id}/active")
    async def get_sender_active(sender_id: str) -> SenderState:
        return found(senders, sender_id).active

    @api.get("/single/senders/{sender_id}/transportfile")
    async def get_sender_transportfile(sender_id: str) -> Response:
        text = found(senders, sender_id).transport_file()
        if text is None:
            raise NotFoundError("This Sender's transport type has no transport file.")
        # "to ensure that connection management clients do not cache the contents" (IS-05
        # "Behaviour", Transport Files & Caching).
        return Response(text, headers={"Cache-Control": "no-cache"}, media_type="application/sdp")

    @api.get("/single/senders/{sender_id}/transporttype")
    async def get_sender_transporttype(sender_id: str) -> str:
        return found(senders, sender_id).transport_type


def _add_receivers(api: APIRouter, node: ReferenceNode) -> None:
    receivers = node.receivers

    @api.get("/single/receivers")
    async def get_receivers() -> list[str]:
        return [f"{receiver_id}/" for receiver_id in receivers]

    @api.get("/single/receivers/{receiver_id}")
    async def get_receiver(receiver_id: str) -> tuple[str, ...]:
        found(receivers, receiver_id)
        return RECEIVER_CHILDREN

    @api.get("/single/receivers/{receiver_id}/constraints", response_model_exclude_none=True)
    async def get_receiver_constraints(receiver_id: str) -> LegConstraints:
        return [dict(leg) for leg in found(receivers, receiver_id).constraints]

    @api.get("/single/receivers/{receiver_id}/staged")
    async def get_receiver_staged(receiver_id: str) -> ReceiverState:
        return found(receivers, receiver_id).staged

    @api.patch("/single/receivers/{receiver_id}/staged")
    async def patch_receiver_staged(
        receiver_id: str, patch: ReceiverPatch, token: Token, response: Response
    ) -> ReceiverState:
        receiver = found(receivers, receiver_id)
        staging = _Staging(node, token)
        staged = await staging.stage(receiver, patch, f"single/receivers/{receiver_id}/staged")
        response.status_code = staged.status
        return staged.state

    @api.get("/single/receivers/{receiver_id}/active")
    async def get_receiver_active(receiver_id: str) -> ReceiverState:
        return found(receivers, receiver_id).active

    @api.get("/single/receivers/{receiver_id}/transporttype")
    async def get_receiver_transporttype(receiver_id: str) -> str:
        return found(receivers, receiver_id).transport_type


def _add_bulk(api: APIRouter, node: ReferenceNode) -> None:
    @api.get("/bulk")
    async def get_bulk() -> tuple[str, ...]:
        return KINDS

    @api.post("/bulk/senders", response_model_exclude_unset=True)
    async def post_bulk_senders(entries: ListOf[BulkEntry], token: Token) -> list[BulkResult]:
        return await _Staging(node, token).bulk("senders", node.senders, SenderPatch, entries)

    @api.post("/bulk/receivers", response_model_exclude_unset=True)
    async def post_bulk_receivers(entries: ListOf[BulkEntry], token: Token) -> list[BulkResult]:
        return await _Staging(node, token).bulk("receivers", node.receivers, ReceiverPatch, entries)


class _Staging:
    """The changes that one request makes. Relative activation times start at its arrival."""

    def __init__(self, node: ReferenceNode, token: AccessToken) -> None:
        self._node = node
        self._token = token
        self._received = node.clock.now()

    async def stage(
        self, endpoint: Endpoint[StateT, PatchT], patch: PatchT, path: str
    ) -> Staged[StateT]:
        """Make one change, and record who made it."""
        staged = await endpoint.patch(patch, self._received)
        self._node.changes.record(self._token, path, patch.model_fields_set, time=self._received)
        return staged

    async def bulk(
        self,
        kind: str,
        endpoints: Mapping[str, Endpoint[StateT, PatchT]],
        patch_type: type[PatchT],
        entries: list[BulkEntry],
    ) -> list[BulkResult]:
        """Make the changes one after the other, each as if it were a request of its own."""
        results = []
        for entry in entries:
            await asyncio.sleep(0)  # there may be thousands, and other clients have requests too
            path = f"single/{kind}/{entry.id}/staged"
            try:
                if not self._token.allows("connection", "write", path):
                    raise ForbiddenError(f"The token does not allow writing to {path}.")
                patch = read(patch_type, entry.params)
                staged = await self.stage(found(endpoints, entry.id), patch, path)
                results.append(BulkResult(id=entry.id, code=staged.status))
            except NmosError as error:
                results.append(
                    BulkResult(
                        id=entry.id, code=error.status, error=error.message, debug=error.debug
                    )
                )
        return results
