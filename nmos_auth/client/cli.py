"""The Client half on the command line: `nmos-auth token`, `login`, `logout`, `register` and so on.

What a command is asked for goes to standard output, and everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import math
import signal
import sys
import webbrowser
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime

from nmos_auth.client.client import AuthorizationClient
from nmos_auth.client.errors import ClientError, LoginRequired, ServersFailed
from nmos_auth.client.grants.keys import ANNOUNCED
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
from nmos_auth.command import Command, note
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.key_ring import KeyRole, PublishedKey

__all__ = ["CLIENT_COMMANDS"]

_Run = Callable[[AuthorizationClient, argparse.Namespace], Coroutine[object, object, None]]


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        nargs="+",
        default=[],
        help=f"scopes to ask for ({PREFIX}SCOPE)",
    )
    _add_json(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_login(parser: argparse.ArgumentParser) -> None:
    _add_scope(parser)
    parser.add_argument(
        "--no-browser", action="store_true", help="only show the URL, on standard error"
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=300.0,
        help="seconds to wait for the user (%(default)g)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError("must be a number of seconds, 0 or more")
    return seconds


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--delete",
        action="store_true",
        help="delete the registrations, where servers offer that (RFC 7592)",
    )
    _add_json(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("show", "jwks", "rotate"),
        help="show: say what each key is there for; jwks: print what belongs at jwks_uri; rotate:"
        " sign with the next key from now on, and publish one more",
    )
    parser.add_argument(
        "--announced",
        metavar="S",
        type=_seconds,
        default=ANNOUNCED,
        help="seconds for which the next key has to have been published before it signs: longer"
        " than servers keep what they fetched from jwks_uri (%(default)g)",
    )
    _add_json(parser)


def _settings_for(options: argparse.Namespace) -> ClientSettings:
    for name in unknown_client_variables():
        note(f"{describe_unknown_client(name)} is not a setting of this version")
    settings = ClientSettings()
    if options.command == "login" and settings.grant is not Grant.AUTHORIZATION_CODE:
        raise ConfigurationError(
            f"{PREFIX}GRANT: a login requires {Grant.AUTHORIZATION_CODE}; it is {settings.grant}"
        )
    if settings.grant is Grant.AUTHORIZATION_CODE and settings.redirect_uri is None:
        # For `login`, and for others to find the registration that it made.
        settings = settings.model_copy(update={"redirect_uri": LOOPBACK_REDIRECT_URI})
    keeps = options.command in {"login", "logout", "register", "keys"}
    stores = f"`nmos-auth {options.command}` is about what is kept there" if keeps else None
    if options.command in {"token", "login", "register"}:
        settings.check_complete(
            for_scope=getattr(options, "scope", ()) or (), stores=stores, finds_servers=True
        )
    elif stores is not None:
        settings.required("store", stores)
    return settings


class _OneLine(logging.Formatter):
    """Shows what libraries say, and not their tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


def _command(run: _Run) -> Callable[[argparse.Namespace], None]:
    def start(options: argparse.Namespace) -> None:
        # Only what goes wrong; httpx would show a line for every request.
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_OneLine())
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
        settings = _settings_for(options)

        async def main() -> None:
            with _ended_by_signals() as ended:
                try:
                    async with AuthorizationClient(settings) as client:
                        await run(client, options)
                except asyncio.CancelledError:
                    if not ended:
                        raise
            if ended:
                raise KeyboardInterrupt

        asyncio.run(main())

    return start


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """Have Ctrl-C and SIGTERM cancel this task, once: closing the Client may last a while."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    ended: list[int] = []

    def end(number: int) -> None:
        if not ended and task is not None:
            task.cancel()
        ended.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    # Signals are the main thread's.
    with contextlib.suppress(RuntimeError, ValueError):
        for number in numbers:
            loop.add_signal_handler(number, end, number)
    try:
        yield ended
    finally:
        with contextlib.suppress(RuntimeError, ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)


async def _token(client: AuthorizationClient, options: argparse.Namespace) -> None:
    settings = client.settings
    if settings.store is None and settings.id is None:
        note(f"{PREFIX}STORE is not set: every run makes a new registration")
    try:
        granted = await client.obtain(*_scopes(options))
    except LoginRequired as error:
        raise LoginRequired(f"{error}; use `nmos-auth login`", code=error.code) from None
    token = granted.access_token.get_secret_value()
    if options.json:
        _print_json(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(granted.lifetime),
                "scope": " ".join(sorted(granted.scope)),
            }
        )
    else:
        _print(token)


async def _login(client: AuthorizationClient, options: argparse.Namespace) -> None:
    def show(url: str) -> None:
        note(f"Log in at {url}")
        if not options.no_browser:
            webbrowser.open(url)

    authorization = await log_in(
        client, _scopes(options), open_browser=show, patience=options.timeout
    )
    if options.json:
        _print_json({"issuer": authorization.issuer})
    else:
        _print(f"logged in at {authorization.issuer}")


async def _logout(client: AuthorizationClient, options: argparse.Namespace) -> None:
    ended = []
    failures: dict[str, ClientError] = {}
    for server in await client.servers.known():
        authorization = client.authorization_at(server)
        try:
            if await authorization.known():
                await authorization.end()
                ended.append(server.issuer)
        except ClientError as error:
            failures[server.issuer] = error
    if options.json:
        _print_json({"issuers": ended})
    else:
        for issuer in ended:
            _print(f"logged out at {issuer}")
    if failures:
        raise ServersFailed(failures)


async def _register(client: AuthorizationClient, options: argparse.Namespace) -> None:
    done: list[dict[str, object]] = []
    failures: dict[str, ClientError] = {}
    for server in await client.servers.known():
        try:
            if options.delete:
                done.append({"issuer": server.issuer, "deleted": await server.deregister()})
            else:
                done.append(_shown(await server.registration()))
        except ClientError as error:
            failures[server.issuer] = error
    if options.json:
        _print_json({"registrations": done})
    elif options.delete:
        for each in done:
            _print(f"{each['issuer']} {'deleted' if each['deleted'] else 'nothing to delete'}")
    else:
        for each in done:
            _print(" ".join(str(value) for value in each.values()))
    if failures or not done:
        raise ServersFailed(failures)


async def _servers(client: AuthorizationClient, options: argparse.Namespace) -> None:
    described = [await _described(server) for server in await client.servers.known()]
    if options.json:
        _print_json({"servers": described})
    else:
        for each in described:
            _print(f"{each['issuer']} {each['error'] or 'ok'}")
    if all(each["error"] for each in described):
        raise ServersFailed({}) if not described else ClientError("no server can be used")


async def _keys(client: AuthorizationClient, options: argparse.Namespace) -> None:
    keys = client.keys
    if options.action == "jwks":
        _print_json({**keys.jwks()})
        return
    if options.action == "rotate" and not keys.rotate(announced=options.announced):
        (following,) = [each for each in keys.published() if each.role is KeyRole.NEXT]
        raise ClientError(
            f"the next key has been published since {_utc(following.moment)} only; rotate"
            f" {options.announced:g} s after that, or give --announced"
        )
    shown = [_shown_key(key) for key in keys.published()]
    if options.json:
        _print_json({"keys": shown})
    else:
        for each in shown:
            moments = [f" {name} {each[name]}" for name in ("since", "until") if name in each]
            _print(f"{each['kid']} {each['role']}{''.join(moments)}")


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


def _print(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
    except OSError as error:
        raise OSError(error.errno, f"standard output: {error.strerror}") from None


def _print_json(document: dict[str, object]) -> None:
    _print(json.dumps(document))


CLIENT_COMMANDS = (
    Command("token", "Print an Access Token.", _add_scope, _command(_token)),
    Command("login", "Log a user in with the browser.", _add_login, _command(_login)),
    Command("logout", "Revoke what a user authorized.", _add_json, _command(_logout)),
    Command(
        "register", "Register with the Authorization Servers.", _add_register, _command(_register)
    ),
    Command("servers", "List the Authorization Servers.", _add_json, _command(_servers)),
    Command("keys", "Show or rotate this client's keys.", _add_keys, _command(_keys)),
)
