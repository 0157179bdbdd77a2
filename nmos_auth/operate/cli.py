"""The commands `nmos-auth explain` and `nmos-auth doctor`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nmos_auth.command import Command, columns, hanging, progress_line, show
from nmos_auth.errors import ConfigurationError
from nmos_auth.operate.findings import Finding, as_json, as_lines, exit_code

if TYPE_CHECKING:
    from nmos_auth.settings import Settings

__all__ = ["OPERATE_COMMANDS"]

# Both commands import what they need when they run: other commands do not need a web framework.


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError("must be a time such as 2026-11-30T12:00:00Z") from None


def _add_token_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="the file with the access token; - for standard input",
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


def _choose_env_file(options: argparse.Namespace) -> None:
    """Read settings from the file that the command line names."""
    if options.env_file is not None:
        os.environ["NMOS_AUTH_ENV_FILE"] = options.env_file


def _token(options: argparse.Namespace) -> str | None:
    name = options.token_file
    if name is None:
        return None
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token-file: {name} cannot be read: {error}") from None
    token = text.strip()
    for prefix in ("Authorization:", "Bearer "):
        token = token.removeprefix(prefix).strip()
    if not token:
        raise ConfigurationError("--token-file: it is empty")
    return token


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the package, because the findings include them."""
    logger = logging.getLogger("nmos_auth")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


# explain


def _explain(options: argparse.Namespace) -> int:
    from nmos_auth.operate.explain import explain, list_permissions  # noqa: PLC0415
    from nmos_auth.operate.in_process import Request  # noqa: PLC0415
    from nmos_auth.operate.rendering import explanation_json, explanation_lines  # noqa: PLC0415
    from nmos_auth.settings import Settings  # noqa: PLC0415

    _choose_env_file(options)
    token = _token(options)
    if options.list:
        if token is None:
            raise ConfigurationError("--list requires --token-file")
        _print_permissions(list_permissions(token), as_object=options.json)
        return 0
    if not options.method or not options.url:
        raise ConfigurationError("METHOD and URL are required, or --list")
    changes = {} if options.audience is None else {"audience": options.audience}
    request = Request(options.method, options.url, root_path=options.root_path)
    clock: Callable[[], float] = time.time
    if options.at is not None:
        clock = lambda: options.at  # noqa: E731 - a clock that stands still
    settings = Settings(**changes)
    if options.offline:
        settings = _offline(settings)
    with _quiet(), progress_line() as progress:
        explanation = asyncio.run(explain(request, token, settings, clock=clock, progress=progress))
    if options.json:
        show(explanation_json(explanation))
    else:
        show(explanation_lines(request, explanation, columns()))
    return explanation.outcome.exit_code


def _offline(settings: Settings) -> Settings:
    """Return settings that use the keys of a file, which has the same form, and ask no server."""
    from nmos_auth.settings import Discovery  # noqa: PLC0415

    # The keys file is written by a Node, and so it may not exist yet.
    kept = settings.keys_file
    keys = kept if kept is not None and kept.exists() else settings.static_keys_file or kept
    if keys is None:
        raise ConfigurationError(
            "--offline requires keys: set NMOS_AUTH_KEYS_FILE or NMOS_AUTH_STATIC_KEYS_FILE"
        )
    changes = {
        "static_keys_file": keys,
        "keys_file": None,
        "servers": (),
        "trusted_issuers": (),
        "discovery": Discovery.OFF,
    }
    return settings.model_copy(update=changes)


def _print_permissions(lines: Sequence[str], *, as_object: bool) -> None:
    if as_object:
        pairs = (line.partition(": ") for line in lines)
        show(json.dumps({"permissions": {api: what for api, _, what in pairs}}, indent=2))
    else:
        for line in lines:
            show(hanging("", line, columns()))


# doctor


def _doctor(options: argparse.Namespace) -> int:
    _choose_env_file(options)
    with _quiet():
        return _examine(options)


def _examine(options: argparse.Namespace) -> int:
    findings = asyncio.run(_examined(options.node, _token(options), as_they_come=not options.json))
    if options.json:
        show(as_json(findings))
    return exit_code(findings)


async def _examined(node: str | None, token: str | None, *, as_they_come: bool) -> list[Finding]:
    from nmos_auth.operate.doctor import examine  # noqa: PLC0415

    findings = []
    with progress_line() as progress:
        async for finding in examine(node, token=token, progress=progress):
            findings.append(finding)
            if as_they_come:
                progress("")
                show(as_lines(finding, columns()))
    return findings


# keycloak-realm


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


def _keycloak_realm(options: argparse.Namespace) -> int:
    from nmos_auth.operate.keycloak import (  # noqa: PLC0415
        PERMISSIONS,
        keycloak_realm,
        read_permissions,
    )

    permissions = PERMISSIONS
    if options.permissions is not None:
        try:
            permissions = read_permissions(Path(options.permissions).read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--permissions: {error}") from None
    realm = keycloak_realm(
        options.realm, options.audience, permissions, hosts=options.registration_hosts
    )
    show(json.dumps(realm, indent=2))
    return 0


OPERATE_COMMANDS = (
    Command(
        name="explain",
        help="Say why a token permits, or does not permit, a request to the Node.",
        add_arguments=_add_explain,
        run=_explain,
    ),
    Command(
        name="doctor",
        help="Check settings, DNS-SD, Authorization Servers and a Node, and say what is wrong.",
        add_arguments=_add_doctor,
        run=_doctor,
    ),
    Command(
        "keycloak-realm",
        "Print a Keycloak realm that issues IS-10 tokens, as JSON to import.",
        _add_keycloak_realm,
        _keycloak_realm,
    ),
)
