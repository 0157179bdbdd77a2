"""The commands `nmos-auth explain`, `nmos-auth doctor` and `nmos-auth keycloak-realm`."""

from __future__ import annotations

import argparse
from datetime import datetime

from nmos_auth.command import Command

__all__ = ["OPERATE_COMMANDS"]


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-30T12:00:00Z") from None


def _add_token_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token-file", metavar="FILE", help="the file with the access token; - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--env-file", metavar="FILE", help="the file with settings, instead of NMOS_AUTH_ENV_FILE"
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", metavar="METHOD", nargs="?", help="HTTP method, or ws")
    parser.add_argument("url", metavar="URL", nargs="?", help="the URL, or its path")
    _add_token_file(parser)
    parser.add_argument(
        "--list", action="store_true", help="list all that the token permits, API by API"
    )
    parser.add_argument(
        "--audience", metavar="NAMES", help="for another Node, instead of NMOS_AUTH_AUDIENCE"
    )
    parser.add_argument(
        "--root-path", metavar="PATH", default="", help="the path of the app behind a proxy"
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="ask no server: use the keys in NMOS_AUTH_KEYS_FILE or NMOS_AUTH_STATIC_KEYS_FILE",
    )
    parser.add_argument(
        "--at", metavar="TIME", type=_moment, help="check the token's times at this time"
    )
    parser.epilog = "Exit codes: 0 permitted, 1 refused, 2 the command line, 3 cannot tell."


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--node", metavar="URL", help="look at this Node from outside as well: https://HOST[:PORT]"
    )
    _add_token_file(parser)
    parser.epilog = "Exit codes: 0 nothing failed, 1 something did, 2 the command line."


def _add_keycloak_realm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--audience",
        metavar="NAME",
        nargs="+",
        required=True,
        help="the audience of tokens: https://*.example.com for all Nodes below example.com",
    )
    parser.add_argument(
        "--permissions",
        metavar="FILE",
        help="JSON with read and write for each API; by default everything, except writing where"
        " NMOS has nothing to write",
    )
    parser.add_argument("--realm", metavar="NAME", default="nmos", help="its name (%(default)s)")
    parser.add_argument(
        "--registration-hosts",
        metavar="HOST",
        nargs="+",
        default=[],
        help="hosts from which clients may register without an initial access token (none)",
    )


def _run(options: argparse.Namespace) -> int:
    from nmos_auth.operate.commands import run  # noqa: PLC0415 - the parser requires none of it

    return run(options)


OPERATE_COMMANDS = (
    Command(
        name="explain",
        help="Say why a token permits, or does not permit, a request to the Node.",
        add_arguments=_add_explain,
        run=_run,
    ),
    Command(
        name="doctor",
        help="Check settings, DNS-SD, Authorization Servers and a Node, and say what is wrong.",
        add_arguments=_add_doctor,
        run=_run,
    ),
    Command(
        "keycloak-realm",
        "Print a Keycloak realm that issues IS-10 tokens, as JSON to import.",
        _add_keycloak_realm,
        _run,
    ),
)
