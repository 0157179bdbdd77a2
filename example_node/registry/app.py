"""The Registry's web application: its two APIs, and what lies around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
)

from fastapi import FastAPI

import nmos_auth
from example_node import conventions
from example_node.clock import NANOSECONDS, Clock, SystemClock
from example_node.registry import query_api, registration_api
from example_node.registry.registry import Registry
from example_node.registry.settings import Settings
from example_node.registry.subscriptions import Subscriptions
from nmos_auth import NmosAuthMiddleware
from nmos_auth.registry import MemoryOwners, Owners


def create_app(
    settings: Settings | None = None,
    auth_settings: nmos_auth.Settings | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """Make the Registry's application.

    Args:
        settings: The Registry's own settings, from EXAMPLE_REGISTRY_* without this.
        auth_settings: The settings of authorization, from NMOS_AUTH_* without this.
        clock: The Registry's clock, the computer's without this.

    Raises:
        pydantic.ValidationError: A setting is not usable.
        nmos_auth.ConfigurationError: A setting of authorization is not usable.
    """
    settings = settings or Settings()
    auth_settings = auth_settings or nmos_auth.Settings()
    clock = clock or SystemClock(settings.utc_offset)
    owners, connection = _owners(settings, clock)
    registry = Registry(clock, settings.expiry)
    subscriptions = Subscriptions(
        registry,
        settings.websocket_origin + query_api.WEBSOCKETS,
        secure=settings.advertised.protocol == "https",
        authorization=auth_settings.enabled,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collecting = [
            asyncio.create_task(each)
            for each in (registry.collect_garbage(), registry.collect_orphans())
        ]
        async with connection:
            yield
        for each in collecting:
            each.cancel()
        await asyncio.gather(*collecting, return_exceptions=True)

    app = conventions.new_app("Reference Registry", lifespan)
    app.state.registry = registry
    conventions.mount(
        app,
        {
            ("registration", registration_api.VERSION): registration_api.router(registry, owners),
            ("query", query_api.VERSION): query_api.router(
                registry, subscriptions, settings.origin
            ),
        },
    )
    query_api.serve_websockets(app, subscriptions)
    conventions.install(app, auth_settings.cors_origins)
    # What is added last is outermost: a request is authorized before anything else looks at it.
    app.add_middleware(NmosAuthMiddleware, settings=auth_settings)
    return app


def _owners(settings: Settings, clock: Clock) -> tuple[Owners, AbstractAsyncContextManager[object]]:
    """Make what remembers who owns which Node, and what ends with the Registry."""
    if settings.redis is None:
        # By the same clock, so that ownership ends when the Node does.
        in_memory = MemoryOwners(settings.expiry, clock=lambda: clock.now().total / NANOSECONDS)
        return in_memory, nullcontext()
    # These are installed with the extra `redis` alone.
    from redis.asyncio import Redis  # noqa: PLC0415 - see above

    from nmos_auth.registry.redis import RedisOwners  # noqa: PLC0415 - see above

    client = Redis.from_url(settings.redis.get_secret_value())
    shared = RedisOwners(client, settings.expiry)

    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        async with client:
            await shared.check_server()
            yield

    return shared, connected()
