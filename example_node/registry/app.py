"""The Registry's web application: its two APIs, and what is around them."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
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
from nmos_auth.errors import MissingExtra
from nmos_auth.registry import MemoryOwners, Owners

logger = logging.getLogger(__name__)

Work = Coroutine[None, None, None]


def create_app(
    settings: Settings | None = None,
    auth_settings: nmos_auth.Settings | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """Make the Registry's application.

    Args:
        settings: the Registry's own settings; None for those of EXAMPLE_REGISTRY_*.
        auth_settings: the settings of authorization; None for those of NMOS_AUTH_*.
        clock: the Registry's clock; None for the computer's.

    Raises:
        pydantic.ValidationError: a setting is not usable.
        nmos_auth.ConfigurationError: a setting of authorization is not usable.
    """
    settings = settings or Settings()
    auth_settings = auth_settings or nmos_auth.Settings()
    clock = clock or SystemClock(settings.utc_offset)
    owners, connection = _owners(settings, clock)
    advertising = _advertising(settings, authorization=auth_settings.enabled)
    registry = Registry(clock, settings.expiry)
    subscriptions = Subscriptions(
        registry,
        settings.websocket_origin + query_api.WEBSOCKETS,
        secure=settings.advertised.protocol == "https",
        authorization=auth_settings.enabled,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with (
            connection,
            _in_the_background(
                registry.collect_garbage(),
                registry.collect_orphans(),
                *(start() for start in advertising),
            ),
        ):
            yield

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
    # It is added last and so is outermost: a request is authorized before anything else sees it.
    app.add_middleware(NmosAuthMiddleware, settings=auth_settings)
    return app


@asynccontextmanager
async def _in_the_background(*work: Work) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _advertising(settings: Settings, *, authorization: bool) -> list[Callable[[], Work]]:
    """Return a context that advertises the Registry by multicast DNS, if that is set.

    Raises:
        nmos_auth.ConfigurationError: that is asked for, and zeroconf is not installed.
    """
    if settings.pri == "off":
        return []
    try:
        from example_node.registry.advertising import advertise  # noqa: PLC0415 - an extra
    except MissingExtra:
        cure = "install 'asgi-nmos-auth[mdns]', or set EXAMPLE_REGISTRY_PRI=off"
        if "pri" in settings.model_fields_set:
            raise nmos_auth.ConfigurationError(
                f"EXAMPLE_REGISTRY_PRI: multicast DNS requires the extra mdns; {cure}"
            ) from None
        logger.warning("not advertised by multicast DNS, which requires the extra mdns: %s", cure)
        return []
    return [functools.partial(advertise, settings, authorization=authorization)]


def _owners(settings: Settings, clock: Clock) -> tuple[Owners, AbstractAsyncContextManager[object]]:
    """Return the owners of Nodes, and a context that ends with the Registry."""
    if settings.redis is None:
        # It uses the same clock, so that ownership ends when the Node does.
        in_memory = MemoryOwners(
            settings.expiry,
            clock=lambda: clock.elapsed().total / NANOSECONDS,
            most_per_client=settings.most_per_client,
        )
        return in_memory, nullcontext()
    # These are installed only with the extra `redis`.
    from redis.asyncio import Redis  # noqa: PLC0415 - see above

    from nmos_auth.registry.redis import RedisOwners  # noqa: PLC0415 - see above

    client = Redis.from_url(settings.redis.get_secret_value())
    shared = RedisOwners(client, settings.expiry, most_per_client=settings.most_per_client)

    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        async with client:
            await shared.check_server()
            yield

    return shared, connected()
