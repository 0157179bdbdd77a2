"""The Node's web application: its APIs, and what is around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI

import nmos_auth
from example_node import channel_mapping_api, connection_api, conventions, events_api, node_api
from example_node.client import JWKS_PATH, make_client
from example_node.clock import NANOSECONDS, Clock, SystemClock, TaiTime
from example_node.description import (
    CHANNEL_MAPPING_API_VERSION,
    CONNECTION_API_VERSION,
    NODE_API_VERSION,
    Description,
)
from example_node.events.links import EVENTS_API_VERSION
from example_node.events.node_events import NodeEvents
from example_node.events.tokens import credentials_of
from example_node.interfaces import find_interfaces
from example_node.node import ReferenceNode
from example_node.registration import registered, registries_of
from example_node.settings import Settings
from nmos_auth import NmosAuthMiddleware
from nmos_auth.client import AuthMethod, AuthorizationClient, jwks_route
from nmos_auth.servers.certificates import TlsFiles, tls_context


def create_app(
    settings: Settings | None = None,
    auth_settings: nmos_auth.Settings | None = None,
    clock: Clock | None = None,
    client: AuthorizationClient | None = None,
) -> FastAPI:
    """Make the Node's application.

    Args:
        settings: the Node's own settings; None for those of EXAMPLE_NODE_*.
        auth_settings: the settings of authorization; None for those of NMOS_AUTH_*.
        clock: the Node's clock; None for the computer's.
        client: gets the tokens with which the Node registers and Receivers of events connect; None
            for one with the settings of NMOS_AUTH_CLIENT_*.

    Raises:
        OSError: a network interface does not exist or has no address.
        pydantic.ValidationError: a setting is not usable.
        nmos_auth.ConfigurationError: a setting of authorization is not usable.
    """
    settings = settings or Settings()
    auth_settings = auth_settings or nmos_auth.Settings()
    clock = clock or SystemClock(settings.utc_offset)
    registries = registries_of(settings, auth_settings)
    client = client or make_client(settings, auth_settings, registers=registries is not None)
    node = make_node(settings, auth_settings, clock, client)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with (
            client or nullcontext(),
            node.running(),
            registered(node.resources, registries, client, settings, auth_settings),
        ):
            yield

    app = conventions.new_app(settings.label, lifespan)
    app.state.node = node
    conventions.mount(
        app,
        {
            ("node", NODE_API_VERSION): node_api.router(node.resources),
            ("connection", CONNECTION_API_VERSION): connection_api.router(node),
            ("channelmapping", CHANNEL_MAPPING_API_VERSION): channel_mapping_api.router(node),
            ("events", EVENTS_API_VERSION): events_api.router(node.events, clock),
        },
    )
    if client is not None and client.settings.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        app.router.routes.append(jwks_route(client.keys, JWKS_PATH))
    conventions.install(app, auth_settings.cors_origins)
    # It is added last and so is outermost: a request is authorized before anything else sees it.
    app.add_middleware(NmosAuthMiddleware, settings=auth_settings)
    return app


def make_node(
    settings: Settings,
    auth_settings: nmos_auth.Settings,
    clock: Clock,
    client: AuthorizationClient | None,
) -> ReferenceNode:
    """Make the Node that the settings describe, on this computer's interfaces."""
    interfaces = find_interfaces(settings.interfaces)
    description = Description(settings, clock, interfaces, authorization=auth_settings.enabled)
    resources = description.resources()
    events = NodeEvents(
        resources,
        description.signals,
        links=description.event_links,
        clock=clock,
        interval=TaiTime(round(settings.event_interval * NANOSECONDS)),
        credentials=credentials_of(client, allow_http=auth_settings.allow_http),
        tls=tls_context(TlsFiles(auth_settings.ca_file)),
    )
    return ReferenceNode(
        resources,
        interfaces,
        description.inputs_and_outputs(),
        events,
        clock,
        enforces_capabilities=settings.enforce_capabilities,
    )
