"""The Client half on the command line: `nmos-auth token`, `login`, `register` and so on."""

from __future__ import annotations

import argparse

from nmos_auth.command import Command, number

__all__ = ["CLIENT_COMMANDS"]

# That of nmos_auth.client.grants.keys, which a parser does not import.
_ANNOUNCED = 3600.0


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        nargs="+",
        default=[],
        help="scopes to ask for (NMOS_AUTH_CLIENT_SCOPE)",
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
        type=number,
        default=300.0,
        help="seconds to wait for the user (%(default)g)",
    )


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
        help="show: say what each key is for; jwks: print what jwks_uri must serve; rotate: sign"
        " with the next key from now on, and publish one more",
    )
    parser.add_argument(
        "--announced",
        metavar="S",
        type=number,
        default=_ANNOUNCED,
        help="seconds for which the next key must have been published before it signs: longer than"
        " servers cache what they fetch from jwks_uri (%(default)g)",
    )
    _add_json(parser)


def _run(options: argparse.Namespace) -> None:
    from nmos_auth.client.commands import run  # noqa: PLC0415 - the parser requires none of it

    run(options)


CLIENT_COMMANDS = (
    Command("token", "Print an Access Token.", _add_scope, _run),
    Command("login", "Log a user in with the browser.", _add_login, _run),
    Command("logout", "Revoke what a user authorized.", _add_json, _run),
    Command("register", "Register with the Authorization Servers.", _add_register, _run),
    Command("servers", "List the Authorization Servers.", _add_json, _run),
    Command("keys", "Show or rotate this client's keys.", _add_keys, _run),
)
