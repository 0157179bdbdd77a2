"""Starting and stopping apps on the loop that is running."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.types import ASGIApp, Message

__all__ = ["lifespan"]


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Start and stop an app on the running loop, as a server does."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}

    async def run_app() -> None:
        await app(scope, to_app.get, from_app.put)

    run = asyncio.create_task(run_app())

    async def complete(stage: str) -> None:
        await to_app.put({"type": f"lifespan.{stage}"})
        assert (await from_app.get())["type"] == f"lifespan.{stage}.complete"

    await complete("startup")
    try:
        yield
    finally:
        await complete("shutdown")
        await run
