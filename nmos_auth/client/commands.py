"""What the commands of the Client half do: `nmos-auth token`, `login`, `register` and so on.

The result of a command goes to standard output, and everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import webbrowser
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import ClientError, LoginRequired, ServersFailed
from nmos_auth.client.login.loopback import LOOPBACK_REDIRECT_URI, log_in
from nmos_auth.client.registration.registrations import Registration
from nmos_auth.client.servers.server import AuthorizationServer
from nmos_auth.client.settings import (
    PREFIX,
    ClientSettings,
    Grant,
    describe_unknown_client,
    unknown_client_variables,
)
from nmos_auth.command import columns, note, progress_line, show, table
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.key_ring import KeyRole, PublishedKey

__all__ = ["run"]

_Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Answer:
    """The result of a command.

    Attributes:
        document: what `--json` prints.
        rows: what is printed without `--json`; None for the document in both cases.
        failure: an error that is reported after the result.
    """

    document: Mapping[str, object]
    rows: Sequence[Sequence[str]] | None
    failure: ClientError | None = None


_Run = Callable[
    [AuthorizationClient, argparse.Namespace, _Progress], Coroutine[object, object, _Answer]
]


def _settings_for(options: argparse.Namespace) -> ClientSettings:
    for name in unknown_client_variables():
        note(f"{describe_unknown_client(name)} is not a setting of this version")
    settings = ClientSettings()
    if options.command == "login" and settings.grant is not Grant.AUTHORIZATION_CODE:
        raise ConfigurationError(
            f"{PREFIX}GRANT: a login requires {Grant.AUTHORIZATION_CODE}; it is {settings.grant}"
        )
    if settings.grant is Grant.AUTHORIZATION_CODE and settings.redirect_uri is None:
        # For `login`, and for other commands to find the registration that it made.
        settings = settings.model_copy(update={"redirect_uri": LOOPBACK_REDIRECT_URI})
    keeps = options.command in {"login", "logout", "register", "keys"}
    stores = f"`nmos-auth {options.command}` works on what is kept there" if keeps else None
    if options.command in {"token", "login", "register"}:
        settings.check_complete(
            for_scope=getattr(options, "scope", ()) or (), stores=stores, finds_servers=True
        )
    elif stores is not None:
        settings.required("store", stores)
    return settings


class _Notes(logging.Handler):
    """Shows log messages of libraries without tracebacks, instead of the line of progress."""

    def __init__(self, progress: _Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress("")
        note(record.getMessage())


def run(options: argparse.Namespace) -> None:
    """Run one of the commands, and print its result.

    Args:
        options: the parsed command line.

    Raises:
        ConfigurationError: a setting is wrong or missing.
        ClientError: it failed; what it could do is printed.
    """
    doing, command = _COMMANDS[options.command]
    settings = _settings_for(options)
    with progress_line() as progress:
        # Warnings and errors only: httpx logs a line for every request.
        logging.basicConfig(level=logging.WARNING, handlers=[_Notes(progress)])
        progress(doing)
        answer = asyncio.run(_ran(command, settings, options, progress))
    if options.json or answer.rows is None:
        show(json.dumps(answer.document))
    elif answer.rows:
        show(table(answer.rows, columns()))
    if answer.failure is not None:
        raise answer.failure


async def _ran(
    run: _Run, settings: ClientSettings, options: argparse.Namespace, progress: _Progress
) -> _Answer:
    answer = None
    with _ended_by_signals() as ended:
        try:
            async with AuthorizationClient(settings) as client:
                answer = await run(client, options, progress)
        except asyncio.CancelledError:
            if not ended:
                raise
    if answer is None or ended:
        raise KeyboardInterrupt
    return answer


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """Let the first Ctrl-C or SIGTERM cancel this task: closing the Client may take a while."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    ended: list[int] = []

    def end(number: int) -> None:
        if not ended and task is not None:
            task.cancel()
        ended.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    # Only the main thread can handle signals.
    with contextlib.suppress(RuntimeError, ValueError):
        for number in numbers:
            loop.add_signal_handler(number, end, number)
    try:
        yield ended
    finally:
        with contextlib.suppress(RuntimeError, ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)


async def _token(
    client: AuthorizationClient, options: argparse.Namespace, progress: _Progress
) -> _Answer:
    settings = client.settings
    if settings.store is None and settings.id is None:
        progress("")
        note(f"{PREFIX}STORE is not set: every run makes a new registration")
    try:
        granted = await client.obtain(*_scopes(options))
    except LoginRequired as error:
        raise LoginRequired(f"{error}; use `nmos-auth login`", code=error.code) from None
    token = granted.access_token.get_secret_value()
    document = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": int(granted.lifetime),
        "scope": " ".join(sorted(granted.scope)),
    }
    return _Answer(document, [[token]])


async def _login(
    client: AuthorizationClient, options: argparse.Namespace, progress: _Progress
) -> _Answer:
    def open_browser(url: str) -> None:
        progress("")
        note(f"Log in at {url}")
        progress(f"waiting for the user, {options.timeout:g} s at most")
        if not options.no_browser:
            webbrowser.open(url)

    authorization = await log_in(
        client, _scopes(options), open_browser=open_browser, patience=options.timeout
    )
    issuer = authorization.issuer
    return _Answer({"issuer": issuer}, [[f"logged in at {issuer}"]])


async def _logout(
    client: AuthorizationClient, _: argparse.Namespace, progress: _Progress
) -> _Answer:
    ended = []
    failures: dict[str, ClientError] = {}
    for server in await client.servers.known():
        progress(f"logging out at {server.issuer}")
        authorization = client.authorization_at(server)
        try:
            if await authorization.known():
                await authorization.end()
                ended.append(server.issuer)
        except ClientError as error:
            failures[server.issuer] = error
    return _Answer(
        {"issuers": ended},
        [[f"logged out at {issuer}"] for issuer in ended],
        ServersFailed(failures) if failures else None,
    )


async def _register(
    client: AuthorizationClient, options: argparse.Namespace, progress: _Progress
) -> _Answer:
    done: list[dict[str, object]] = []
    failures: dict[str, ClientError] = {}
    for server in await client.servers.known():
        progress(f"asking {server.issuer}")
        try:
            if options.delete:
                done.append({"issuer": server.issuer, "deleted": await server.deregister()})
            else:
                done.append(_shown(await server.registration()))
        except ClientError as error:
            failures[server.issuer] = error
    words: dict[object, str] = {True: "deleted", False: "nothing to delete"}
    return _Answer(
        {"registrations": done},
        [[str(words.get(value, value)) for value in each.values()] for each in done],
        ServersFailed(failures) if failures or not done else None,
    )


async def _servers(
    client: AuthorizationClient, _: argparse.Namespace, progress: _Progress
) -> _Answer:
    described = []
    for server in await client.servers.known():
        progress(f"asking {server.issuer}")
        described.append(await _described(server))
    failure: ClientError | None = None
    if all(each["error"] for each in described):
        failure = ClientError("no server can be used") if described else ServersFailed({})
    return _Answer(
        {"servers": described},
        [[str(each["issuer"]), str(each["error"] or "ok")] for each in described],
        failure,
    )


async def _keys(client: AuthorizationClient, options: argparse.Namespace, _: _Progress) -> _Answer:
    keys = client.keys
    if options.action == "jwks":
        return _Answer({**keys.jwks()}, None)
    if options.action == "rotate" and not keys.rotate(announced=options.announced):
        (following,) = [each for each in keys.published() if each.role is KeyRole.NEXT]
        raise ClientError(
            f"the next key has only been published since {_utc(following.moment)}; rotate"
            f" {options.announced:g} s after that, or set --announced"
        )
    shown = [_shown_key(key) for key in keys.published()]
    rows = []
    for each in shown:
        moments = [f"{name} {each[name]}" for name in ("since", "until") if name in each]
        rows.append([each["kid"], " ".join([each["role"], *moments])])
    return _Answer({"keys": shown}, rows)


def _shown_key(key: PublishedKey) -> dict[str, str]:
    shown = {"kid": key.kid, "role": key.role.value}
    if key.role is KeyRole.NEXT:
        shown["since"] = _utc(key.moment)
    elif key.role is KeyRole.FORMER:
        shown["until"] = _utc(key.moment)
    return shown


def _utc(moment: float | None) -> str:
    return datetime.fromtimestamp(moment or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _described(server: AuthorizationServer) -> dict[str, object]:
    try:
        metadata = await server.metadata()
    except ClientError as error:
        return {"issuer": server.issuer, "error": str(error)}
    return {
        "issuer": server.issuer,
        "error": None,
        "token_endpoint": metadata.token_endpoint,
        "authorization_endpoint": metadata.authorization_endpoint,
        "registration_endpoint": metadata.registration_endpoint,
        "revocation_endpoint": metadata.revocation_endpoint,
    }


def _shown(registration: Registration) -> dict[str, object]:
    return {
        "issuer": registration.issuer,
        "client_id": registration.client_id,
        "token_endpoint_auth_method": registration.auth_method.value,
    }


def _scopes(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(scope for given in options.scope for scope in given.replace(",", " ").split())


# What each does first, for the line of progress.
_COMMANDS: Mapping[str, tuple[str, _Run]] = {
    "token": ("getting a token", _token),
    "login": ("finding a server", _login),
    "logout": ("finding servers", _logout),
    "register": ("finding servers", _register),
    "servers": ("finding servers", _servers),
    "keys": ("making keys", _keys),
}
