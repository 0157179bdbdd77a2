"""The Controller's web application, put together from its settings."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from example_node.controller import channels, details, matrix, overview, routing, together
from example_node.controller.client import JWKS_PATH, REQUIRED, make_client
from example_node.controller.connecting.changes import ConnectionLog
from example_node.controller.connecting.salvos import Salvos
from example_node.controller.desk import Surroundings
from example_node.controller.following import QUERY_API
from example_node.controller.pages import Pages
from example_node.controller.reach import permits
from example_node.controller.security import Guard
from example_node.controller.sessions import Desks, TooManyDesksError
from example_node.controller.settings import Settings
from example_node.controller.web import Routes
from example_node.registration.registries import (
    ConfiguredRegistries,
    DiscoveredRegistries,
    Registries,
)
from nmos_auth import ConfigurationError
from nmos_auth.client import (
    AuthMethod,
    AuthorizationClient,
    ClientSettings,
    StoreError,
    TokenHosts,
    jwks_route,
)
from nmos_auth.client.login import LoginRoutes, is_own_origin
from nmos_auth.discovery.directory import sources_for
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.certificates import TlsFiles, TlsIdentity, tls_context
from nmos_auth.settings import Discovery

_STATIC = Path(__file__).parent / "static"


def create_app(
    settings: Settings | None = None, client: AuthorizationClient | None = None
) -> FastAPI:
    """Make the Controller's application.

    Args:
        settings: the Controller's own settings, from EXAMPLE_CONTROLLER_* without this.
        client: what users log in with, as NMOS_AUTH_CLIENT_* say without this.

    Raises:
        pydantic.ValidationError: a setting is not usable.
        nmos_auth.NmosAuthError: a setting of the Client, or what it names, is not usable.
    """
    settings = settings or Settings()
    if settings.authorization:
        client = client or make_client(settings)
    client_settings = client.settings if client is not None else ClientSettings()
    pages = Pages(settings.label, has_login=client is not None)
    around = _surroundings(settings, client_settings, client)
    with around.salvos.opened():
        pass  # A file that cannot be used stops the start with a message.
    desks = Desks(around)
    if client is not None:
        desks.login = LoginRoutes(
            client,
            required=REQUIRED,
            after_login="/routing",
            on_end=lambda session, _: desks.end(session.id),
            on_failure=lambda _, failure: pages.failed_login(failure),
        )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with around.salvos.opened():
            async with (
                client or contextlib.nullcontext(),
                desks.login or contextlib.nullcontext(),
                contextlib.aclosing(desks),
            ):
                yield

    app = FastAPI(title=settings.label, lifespan=lifespan, openapi_url=None)
    app.state.desks = desks
    _add_routes(app, desks, pages)
    if client is not None and client.settings.auth_method is AuthMethod.PRIVATE_KEY_JWT:
        app.router.routes.append(jwks_route(client.keys, JWKS_PATH))

    def own(connection: HTTPConnection) -> bool:
        return is_own_origin(connection, settings.origin)

    app.add_middleware(
        Guard,
        is_own_origin=own,
        hosts=frozenset({settings.advertised.host.lower(), settings.host_name.lower()}),
        origin=settings.origin,
        streams=frozenset({routing.LIVE}),
    )
    return app


def _add_routes(app: FastAPI, desks: Desks, pages: Pages) -> None:
    if desks.login is not None:
        app.router.routes.extend(desks.login.routes)
    app.mount("/static", StaticFiles(directory=_STATIC))
    routes = Routes(app, desks, pages)
    for each in (routing, matrix, details, channels, together, overview):
        each.install(routes)

    @app.get("/", include_in_schema=False)
    async def start(request: Request) -> Response:
        try:
            is_known = await desks.of(request) is not None
        except (StoreError, TooManyDesksError):
            is_known = True  # that page says what is wrong
        if is_known:
            return RedirectResponse("/routing", 303)
        return pages.welcome(has_ended="ended" in request.query_params)


def _registries(
    settings: Settings, client: ClientSettings, authorization: AuthorizationClient | None
) -> Callable[[], Registries]:
    """Return what makes, for each session, what knows the Query APIs.

    Raises:
        nmos_auth.ConfigurationError: there is no way to know one.
    """
    http = client.allow_http or authorization is None
    if settings.registries:
        if not http and any(each.startswith("http:") for each in settings.registries):
            raise ConfigurationError(
                "EXAMPLE_CONTROLLER_REGISTRIES: tokens must not travel unencrypted; use https, or"
                " for development only NMOS_AUTH_ALLOW_HTTP=true"
            )
        return lambda: ConfiguredRegistries(settings.registries)
    discovery, setting = client.discovery, "NMOS_AUTH_DISCOVERY"
    if settings.registry_discovery is not None:
        discovery, setting = settings.registry_discovery, "EXAMPLE_CONTROLLER_REGISTRY_DISCOVERY"
    if discovery is Discovery.OFF:
        raise ConfigurationError(
            f"EXAMPLE_CONTROLLER_REGISTRIES: none is named, and {setting} is off"
        )

    def discovered() -> Registries:
        return DiscoveredRegistries(
            sources_for(
                discovery,
                client.dns_domain,
                QUERY_API,
                setting=setting,
                dns_servers=client.dns_servers,
            ),
            api_proto=None if http else "https",
            api_auth=authorization is not None,
            service=QUERY_API,
        )

    return discovered


def _surroundings(
    settings: Settings, client: ClientSettings, authorization: AuthorizationClient | None
) -> Surroundings:
    """Return what all desks have in common.

    Raises:
        nmos_auth.ConfigurationError: a setting is not usable.
    """
    try:
        hosts = TokenHosts(settings.token_hosts, allow_http=client.allow_http)
    except ConfigurationError as error:
        raise ConfigurationError(f"EXAMPLE_CONTROLLER_TOKEN_HOSTS: {error}") from None
    files = TlsFiles(client.ca_file)
    return Surroundings(
        registries=_registries(settings, client, authorization),
        named=frozenset(settings.registries),
        access=ServerAccess(TlsIdentity(files)),
        tls=tls_context(files),
        hosts=hosts,
        permitted=permits(settings.networks),
        allow_http=client.allow_http or authorization is None,
        log=ConnectionLog(),
        salvos=Salvos(settings.salvos),
    )
