"""`nmos-auth serve`: the development Authorization Server on a socket, with TLS and signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shlex
import signal
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from typing_extensions import override

from nmos_auth.authority.app import NOT_FOR_PRODUCTION, Authority, create_authority
from nmos_auth.authority.clients import Client
from nmos_auth.authority.configuration import AuthorityFile, read_authority_file
from nmos_auth.authority.keys import SigningKeys
from nmos_auth.authority.policy import RegistrationPolicy
from nmos_auth.authority.settings import AuthoritySettings, check_issuer
from nmos_auth.authority.users import User
from nmos_auth.discovery.dns_records import describe, zone_records
from nmos_auth.errors import ConfigurationError, MissingExtra, NmosAuthError
from nmos_auth.servers.certificates import CertificateError, TlsFiles, tls_context
from nmos_auth.servers.listening import CannotListen, listen
from nmos_auth.servers.redirect_uris import is_loopback
from nmos_auth.servers.tls import server_context, strict_transport_security

with MissingExtra.named("authority", "uvicorn"):
    import uvicorn

__all__ = ["ServeOptions", "ServingError", "print_zone_records", "serve"]

logger = logging.getLogger("nmos_auth.authority")

# IS-10 "Changing Keys": new public keys are published "for at least 2 hours" before they sign.
_ANNOUNCEMENT = 2 * 3600


class ServingError(NmosAuthError):
    """The server cannot be started; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The options of `nmos-auth serve`.

    Attributes:
        host: the name or address to bind to.
        port: the port; 0 for any free one.
        issuer: the issuer; None to derive it from the address.
        clients: a file for `read_authority_file`; None for one throwaway Client and user.
        certificates: PEM files, each a certificate with its chain, and its private key: RSA, ECDSA
            or both; empty for plain http, which requires a loopback host.
        token_lifetime: seconds for which Access Tokens are valid.
        rotate_every: seconds between rotations of the signing keys; None for no rotation.
        refresh_lifetime: seconds for which refresh tokens are valid.
        open_client_credentials: let Clients register for it without an initial access token.
        database: a file for what is kept after the run; None to keep nothing.
        user: the user who gets a new password, which is printed; None for no user.
        ca_file: root certificates for fetching the keys of Clients; None for the system's.
        advertise: the priority for multicast DNS-SD; None not to advertise.
        hsts_max_age: seconds for which Clients use https only (RFC 6797); 0 for no header.
        json: print what was made for this run, and the issuer, as one JSON object on a line.
    """

    host: str
    port: int
    issuer: str | None
    clients: Path | None
    certificates: Sequence[tuple[Path, Path]]
    token_lifetime: int
    rotate_every: float | None
    refresh_lifetime: int = 86400
    open_client_credentials: bool = False
    database: Path | None = None
    user: str | None = None
    ca_file: Path | None = None
    advertise: int | None = None
    hsts_max_age: int = 31_536_000
    json: bool = False


class _Made(NamedTuple):
    """What was made for this run, as text for people and as JSON for programs."""

    text: str
    members: dict[str, str]


def serve(options: ServeOptions) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP rotates the signing keys, SIGUSR1 replaces one.

    Raises:
        ConfigurationError: the clients, a certificate, the issuer or the host are not valid.
        ServingError: the address cannot be bound.
    """
    file = _configured(options)
    if not options.certificates and not is_loopback(options.host):
        raise ConfigurationError(
            f"--host {options.host}: http is served only on a loopback address; for others use"
            " --certificate and --private-key"
        )
    context = _tls_context(options.certificates)
    try:
        tls_context(TlsFiles(options.ca_file))
    except CertificateError as error:
        raise ConfigurationError(f"--ca-file: {error}") from None
    if options.advertise is not None:
        # Its extra must be there before anything is bound or printed.
        from nmos_auth.discovery.advertising import issuer_advertised  # noqa: F401, PLC0415
    try:
        listening = listen(
            options.host, options.port, address_setting="--host", port_setting="--port"
        )
    except CannotListen as error:
        raise ServingError(str(error)) from None
    with listening as listener:
        port = listener.getsockname()[1]
        authority = create_authority(
            AuthoritySettings(
                issuer=options.issuer or _default_issuer(options, port),
                clients=file.clients,
                token_lifetime=options.token_lifetime,
                allow_http=context is None,
                users=file.users,
                registration=file.registration,
                refresh_lifetime=options.refresh_lifetime,
                database=options.database,
                ca_file=options.ca_file,
            )
        )
        with contextlib.closing(authority):
            _log_to_stderr()
            # The server goes on if standard error is closed.
            with contextlib.suppress(OSError):
                _warn(options, file.registration)
            made = _made(authority, options, file.clients)
            asyncio.run(_run(authority, options, listener, context, made))


def print_zone_records(issuer: str, *, priority: int, allow_http: bool) -> None:
    """Print the DNS records of an Authorization Server (IS-10 "Discovery").

    Args:
        issuer: its identifier.
        priority: 0 is the highest; 100 and above are for development.
        allow_http: whether the issuer may be http on loopback.

    Raises:
        ConfigurationError: the issuer is not valid.
    """
    check_issuer(issuer, allow_http=allow_http)
    sys.stdout.write(zone_records(describe(issuer, priority=priority), priority=priority))


def _configured(options: ServeOptions) -> AuthorityFile:
    file = AuthorityFile((Client.throwaway(),), (), RegistrationPolicy())
    if options.clients is not None:
        file = read_authority_file(options.clients)
    if options.open_client_credentials:
        file = replace(file, registration=replace(file.registration, open_client_credentials=True))
    return file


def _made(authority: Authority, options: ServeOptions, clients: Sequence[Client]) -> dict[str, str]:
    """Make what this run needs, and print it, or return it for the JSON object."""
    made = []
    if options.clients is None:
        made.append(_introduction(clients[0], authority.settings, options.certificates))
        made.append(_initial_access_token(authority.initial_access_token()))
    made += _welcome(authority, options)
    if not options.json:
        sys.stdout.write("".join(each.text for each in made))
    return {name: value for each in made for name, value in each.members.items()}


def _initial_access_token(token: SecretStr) -> _Made:
    shown = token.get_secret_value()
    return _Made(
        "Clients register with this initial access token for a day (for authorization_code only\n"
        f"they need none):\n  {shown}\n",
        {"initial_access_token": shown},
    )


def _welcome(authority: Authority, options: ServeOptions) -> list[_Made]:
    """Make the user of `--user`, or a throwaway one if no user exists or is configured."""
    name = options.user
    if name is None and options.clients is None and not authority.has_users():
        name = "operator"
    if name is None:
        return []
    if name in {user.name for user in authority.settings.users}:
        raise ConfigurationError(f"--user {name}: it already has a password in {options.clients}")
    try:
        user, password = User.throwaway(name)
    except ValueError:
        raise ConfigurationError("--user: must be 1 to 64 printable ASCII characters") from None
    authority.keep_user(user)
    shown = password.get_secret_value()
    text = f"A user who can log in:\n  {name}  {shown}\n"
    return [_Made(text, {"user": name, "password": shown})]


def _tls_context(certificates: Sequence[tuple[Path, Path]]) -> ssl.SSLContext | None:
    if not certificates:
        return None
    for certificate, key in certificates:
        for path in (certificate, key):
            if not path.is_file():
                raise ConfigurationError(f"--certificate and --private-key: {path}: No such file")
        try:
            server_context([(certificate, key)])
        except OSError as error:
            cause = error.__cause__
            known = cause.reason if isinstance(cause, ssl.SSLError) else None
            reason = (known or "not a PEM certificate and its key").lower().replace("_", " ")
            raise ConfigurationError(f"{certificate}, {key}: {reason}") from None
    return server_context(certificates)


def _default_issuer(options: ServeOptions, port: int) -> str:
    host = socket.getfqdn() if options.host in {"0.0.0.0", "::"} else options.host  # noqa: S104
    scheme = "https" if options.certificates else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _log_to_stderr() -> None:
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("nmos_auth").setLevel(logging.INFO)


def _warn(options: ServeOptions, registration: RegistrationPolicy) -> None:
    rule = "*" * 78
    sys.stderr.write(f"{rule}\n{NOT_FOR_PRODUCTION}{rule}\n")
    if options.rotate_every is not None and options.rotate_every < _ANNOUNCEMENT:
        sys.stderr.write(
            "Keys rotate more often than every two hours: Resource Servers that fetch them hourly "
            "may get tokens whose key they do not have yet (IS-10 Changing Keys).\n"
        )
    if registration.open_client_credentials:
        sys.stderr.write(
            "Anybody who can reach this server can register a client and get tokens for "
            f"{' '.join(sorted(registration.machine_scopes))}, which IS-10 forbids.\n"
        )
    sys.stderr.flush()


def _introduction(
    client: Client, settings: AuthoritySettings, certificates: Sequence[tuple[Path, Path]]
) -> _Made:
    secret = client.client_secret.get_secret_value()
    trust = ["--cacert", str(certificates[0][0].resolve())] if certificates else []
    command = [
        *("curl", *trust, "--user", f"{client.client_id}:{secret}"),
        *("--data", "grant_type=client_credentials", "--data-urlencode", "scope=node connection"),
        settings.url("/token"),
    ]
    return _Made(
        "A client for this run, which may do everything on every server, also with\n"
        "client_credentials (which BCP-003-02 limits to the scopes registration and events):\n"
        f"  client_id      {client.client_id}\n"
        f"  client_secret  {secret}\n"
        f"  {shlex.join(command)}\n",
        {"client_id": client.client_id, "client_secret": secret},
    )


class _Server(uvicorn.Server):
    """A server that calls `listening` when it listens, and leaves signals to the event loop."""

    def __init__(self, config: uvicorn.Config, *, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(
    authority: Authority,
    options: ServeOptions,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    made: dict[str, str],
) -> None:
    config = uvicorn.Config(
        authority.app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
        # It is set here and not in the app, so that refusals and failures have it too.
        headers=strict_transport_security(options.hsts_max_age) if context else [],
    )
    # uvicorn would make a context of its own, from one certificate; this replaces it.
    config.load()
    config.ssl = context

    def announce() -> None:
        issuer = authority.settings.issuer
        told = json.dumps({"issuer": issuer, **made}) if options.json else f"Serving {issuer}"
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()

    server = _Server(config, listening=announce)

    def stop() -> None:
        server.should_exit = True

    changes: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGHUP, changes.put_nowait, authority.keys.rotate)
    loop.add_signal_handler(signal.SIGUSR1, changes.put_nowait, authority.keys.replace)
    keeper = asyncio.create_task(_change_keys(authority.keys, changes, options.rotate_every))
    try:
        async with _advertised(authority.settings.issuer, options, listener):
            await server.serve(sockets=[listener])
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


@contextlib.asynccontextmanager
async def _advertised(
    issuer: str, options: ServeOptions, listener: socket.socket
) -> AsyncIterator[None]:
    if options.advertise is None:
        yield
        return
    from nmos_auth.discovery.advertising import issuer_advertised  # noqa: PLC0415 - an extra

    async with issuer_advertised(
        issuer, bound_to=listener.getsockname()[0], priority=options.advertise, logger=logger
    ):
        yield


async def _change_keys(
    keys: SigningKeys, changes: asyncio.Queue[Callable[[], None]], rotate_every: float | None
) -> None:
    """Make the requested changes one by one, and rotate if there was none for that long."""
    while True:
        try:
            async with asyncio.timeout(rotate_every):
                change = await changes.get()
        except TimeoutError:
            change = keys.rotate
        try:
            # Making an RSA key takes up to a second; requests are served meanwhile.
            await asyncio.to_thread(change)
        except sqlite3.Error as error:
            logger.error("the signing keys stay as they are: %s", error)  # noqa: TRY400
