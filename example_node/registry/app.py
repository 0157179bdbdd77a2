"""The Registry's web application: its two APIs, and what lies around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

import nmos_auth
from example_node import conventions
from example_node.clock import NANOSECONDS, Clock, SystemClock
from example_node.registry import registration_api
from example_node.registry.registry import Registry
from example_node.registry.settings import Settings
from nmos_auth import NmosAuthMiddleware
from nmos_auth.registry import MemoryOwners, Owners


def create_app(
    settings: Settings | None = None,
    auth_settings: nmos_auth.Settings | None = None,
    clock: Clock | None = None,
    owners: Owners | None = None,
) -> FastAPI:
    """Make the Registry's application.

    Args:
        settings: The Registry's own settings, from EXAMPLE_REGISTRY_* without this.
        auth_settings: The settings of authorization, from NMOS_AUTH_* without this.
        clock: The Registry's clock, the computer's without this.
        owners: Who owns which Node; kept in memory without this.

    Raises:
        pydantic.ValidationError: A setting is not usable.
        nmos_auth.ConfigurationError: A setting of authorization is not usable.
    """
    settings = settings or Settings()
    auth_settings = auth_settings or nmos_auth.Settings()
    clock = clock or SystemClock(settings.utc_offset)
    owners = owners or _in_memory(clock, settings.expiry)
    registry = Registry(clock, settings.expiry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        collecting = asyncio.create_task(registry.collect_garbage())
        yield
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting

    app = FastAPI(title="Example Registry", lifespan=lifespan, redirect_slashes=False)
    app.state.registry = registry
    conventions.mount(
        app,
        {("registration", registration_api.VERSION): registration_api.router(registry, owners)},
    )
    conventions.install(app, auth_settings.cors_origins)
    # What is added last is outermost: a request is authorized before anything else looks at it.
    app.add_middleware(NmosAuthMiddleware, settings=auth_settings)
    return app


def _in_memory(clock: Clock, expiry: float) -> MemoryOwners:
    """Let ownership end when the Node does, by the same clock."""
    return MemoryOwners(expiry, clock=lambda: clock.now().total / NANOSECONDS)
