"""The `nmos-auth` command.

Exit codes: 0 if the command is done; 1 if it failed; 2 if the command line, a file that it names,
or the installation does not allow it. An error is one line on standard error, never a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn, TextIO

from nmos_auth import __version__
from nmos_auth.client.cli import CLIENT_COMMANDS
from nmos_auth.client.errors import unexpected
from nmos_auth.command import Command, printable, whole
from nmos_auth.errors import ConfigurationError, NmosAuthError
from nmos_auth.operate.cli import OPERATE_COMMANDS
from nmos_auth.probe.cli import PROBE_COMMAND

__all__ = ["main", "parser"]


class _UsageError(Exception):
    """The command line is not valid; the message is one line."""


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line; `--help` shows the valid options."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = _Parser(prog="nmos-auth", description="AMWA IS-10 authorization for NMOS.")
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `nmos-auth` and return its exit code.

    Args:
        arguments: the command line without the program; None for this process's.
    """
    _fill_closed_streams()
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        _complete(whole)
    options = whole.parse_args(arguments)
    if sys.stdout is None:
        if options.command != "serve":
            return _fail(options.command, "standard output is closed", 1)
        sys.stdout = _nowhere()
    try:
        return _run(options)
    except KeyboardInterrupt:
        return 1


def _complete(whole: argparse.ArgumentParser) -> None:
    try:
        import argcomplete  # noqa: PLC0415 - an extra, and a shell's question only
    except ModuleNotFoundError:
        return
    argcomplete.autocomplete(whole)


def _run(options: argparse.Namespace) -> int:
    try:
        code: int | None = options.run(options)
        _flush_output()
    except (_UsageError, ConfigurationError) as error:
        return _fail(options.command, str(error), 2)
    except NmosAuthError as error:
        return _fail(options.command, str(error), 1)
    except OSError as error:
        _give_up_output()
        return _fail(options.command, error.strerror or error.__class__.__name__, 1)
    except Exception as error:  # noqa: BLE001 - a traceback tells users nothing, and may tell others
        return _fail(options.command, str(unexpected(error)), 1)
    return code or 0


def _fail(command: str, why: str, code: int) -> int:
    # If standard error is closed, the message is not wanted.
    with contextlib.suppress(OSError):
        print(f"nmos-auth {command}: error: {printable(why)}", file=sys.stderr, flush=True)
    return code


def _fill_closed_streams() -> None:
    """Open closed standard streams, so that no file gets their number and their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = _nowhere()


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for good


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, f"standard output: {error.strerror}") from None


def _give_up_output() -> None:
    """Prevent that Python tries again at its end to write what could not be written."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_file = functools.partial(add, metavar="FILE", type=Path)
    add_files = functools.partial(add_file, action="append", default=[])
    add_priority = functools.partial(add, metavar="PRI", type=whole(0, 65535), nargs="?", const=100)

    def add_seconds(
        name: str, least: int, most: int, explanation: str, default: int | None = None
    ) -> None:
        add(name, metavar="S", type=whole(least, most), default=default, help=explanation)

    add("--host", default="127.0.0.1", help="address to bind to (%(default)s)")
    add("--port", type=whole(0, 65535), default=8443, help="0 for any (%(default)s)")
    add("--issuer", metavar="URL", help="issuer identifier (https://HOST:PORT, as bound)")
    add_file(
        "--clients",
        help="TOML file with clients, users, and what registered clients get; without it, a client "
        "and a user are made for this run and printed",
    )
    add_file(
        "--database", help="SQLite file for what is kept after the run, including the signing keys"
    )
    add(
        "--open-client-credentials",
        action="store_true",
        help="let clients register for client_credentials without an initial access token, which "
        "IS-10 forbids and some Nodes cannot send",
    )
    add("--user", metavar="NAME", help="give this user a new password, which is printed")
    add_file("--ca-file", help="root certificates for fetching the keys of clients (the system's)")
    add_priority(
        "--advertise",
        help="advertise by multicast DNS-SD with this priority; 0 to 99 are for live servers "
        "(%(const)s)",
    )
    add_priority(
        "--print-dns",
        help="print the records for unicast DNS-SD with this priority (%(const)s), in the form of "
        "zone files, and do not serve",
    )
    add_seconds(
        "--refresh-lifetime",
        60,
        10**8,
        "seconds for which a refresh token is valid (%(default)s)",
        86400,
    )
    add_files(
        "--certificate",
        help="PEM certificate with its chain; twice for an RSA and an ECDSA one (BCP-003-01)",
    )
    add_files("--private-key", help="PEM key of the certificate; once for each, in the same order")
    add_seconds(
        "--hsts-max-age",
        0,
        10**9,
        "seconds for which clients use https only (RFC 6797); 0 for no header (%(default)s)",
        31_536_000,
    )
    add("--allow-http", action="store_true", help="serve without TLS, on a loopback address")
    add_seconds(
        "--token-lifetime",
        30,
        3600,
        "seconds for which an Access Token is valid, 30 to 3600 (%(default)s)",
        300,
    )
    add_seconds(
        "--rotate-every",
        1,
        10**8,
        "seconds between rotations of the signing keys; IS-10 requires 7200 or more",
    )
    add(
        "--json",
        action="store_true",
        help="print the issuer, and what is made for this run, as one line of JSON",
    )
    parser.epilog = (
        "SIGHUP rotates the signing keys; SIGUSR1 withdraws the one in use and signs with one "
        "that has not been published yet. Not for production."
    )


def _check_serve_options(options: argparse.Namespace) -> None:
    if options.print_dns is not None:
        if options.issuer is None:
            raise _UsageError(
                "--print-dns requires --issuer: the URL of this server for its clients"
            )
        return
    if len(options.certificate) != len(options.private_key):
        raise _UsageError("--certificate and --private-key require each other")
    if bool(options.certificate) == options.allow_http:
        raise _UsageError(
            "use either --certificate and --private-key, or --allow-http for http on loopback"
        )


def _serve(options: argparse.Namespace) -> None:
    _check_serve_options(options)
    from nmos_auth.authority import serving  # noqa: PLC0415 - an extra; others need none

    if options.print_dns is not None:
        serving.print_zone_records(
            options.issuer, priority=options.print_dns, allow_http=options.allow_http
        )
        return
    options.certificates = tuple(zip(options.certificate, options.private_key, strict=True))
    told = {field.name: getattr(options, field.name) for field in fields(serving.ServeOptions)}
    serving.serve(serving.ServeOptions(**told))


_COMMANDS = (
    Command("serve", "Run a development Authorization Server.", _add_serve_arguments, _serve),
    *CLIENT_COMMANDS,
    *OPERATE_COMMANDS,
    PROBE_COMMAND,
)
