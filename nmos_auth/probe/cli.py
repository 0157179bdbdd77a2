"""The command `nmos-auth probe`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nmos_auth.command import Command, columns, hanging, note, progress_line, show
from nmos_auth.errors import ConfigurationError, MissingExtra
from nmos_auth.servers.urls import split_url

if TYPE_CHECKING:
    from nmos_auth.probe.authority import ProbeAuthority
    from nmos_auth.probe.judging import Result
    from nmos_auth.probe.running import Plan
    from nmos_auth.probe.wire import Wire

__all__ = ["PROBE_COMMAND"]

_SUITES = (
    "credentials",
    "jose",
    "claims",
    "times",
    "audience",
    "permissions",
    "paths",
    "methods",
    "answers",
    "handshakes",
    "issuers",
    "keys",
    "writes",
)


_STANDARD_OUTPUT = Path("-")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", nargs="?", help="the device: https://HOST[:PORT]")
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:0",
        help="where the probe's Authorization Server listens; port 0 for any (%(default)s)",
    )
    parser.add_argument(
        "--name", metavar="HOST", help="the name by which the device reaches it (that of --listen)"
    )
    parser.add_argument("--certificate", metavar="FILE", type=Path, help="its PEM certificate")
    parser.add_argument("--private-key", metavar="FILE", type=Path, help="the certificate's key")
    parser.add_argument(
        "--http", action="store_true", help="serve it over http, for devices that allow that"
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", type=Path, help="verify the device's certificate with these"
    )
    parser.add_argument(
        "--audience", metavar="NAME", help="the device's name in tokens (that of URL)"
    )
    parser.add_argument(
        "--suite",
        metavar="NAME",
        nargs="+",
        choices=_SUITES,
        default=[],
        help=f"only these: {', '.join(_SUITES)}",
    )
    parser.add_argument(
        "--writes",
        action="store_true",
        help="also send requests that could change something, to resources that are not there",
    )
    parser.add_argument(
        "--websocket", metavar="TARGET", help="path and query of a WebSocket of the device"
    )
    parser.add_argument(
        "--rate", metavar="N", type=float, default=50.0, help="requests a second (%(default)g)"
    )
    parser.add_argument(
        "--wait",
        metavar="S",
        type=float,
        default=60.0,
        help="seconds to wait until the device accepts a good token (%(default)g)",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write the results, or the rows of --list, as JSON; - prints them and nothing else",
    )
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write them as JUnit XML")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write them as a page")
    parser.add_argument("--list", action="store_true", help="list all rows and their sources")
    parser.epilog = (
        "Only GET, HEAD, OPTIONS, unknown methods and handshakes are sent, unless --writes is"
        " given. Exit codes: 0 no row failed, 1 a row failed, 2 the command line, 3 the device"
        " could not be tested."
    )


def _probe(options: argparse.Namespace) -> int:
    with MissingExtra.named("probe", "h11", "trustme"):
        import h11  # noqa: F401, PLC0415 - of the extra
        import trustme  # noqa: F401, PLC0415 - likewise
    if options.list:
        _list_rows(options.json)
        return 0
    if options.url is None:
        raise ConfigurationError("URL is required, or --list")
    return asyncio.run(_run(options))


def _list_rows(path: Path | None) -> None:
    from nmos_auth.probe.reports import rows_as_json  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.table import ROWS  # noqa: PLC0415 - likewise

    if path is not None:
        _write_file(path, rows_as_json(ROWS))
        return
    for row in ROWS:
        show(hanging(f"{row.id}: ", row.title, columns()))
        show(hanging("    ", str(row.source), columns()))


async def _run(options: argparse.Namespace) -> int:
    from nmos_auth.probe.judging import Verdict  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.reports import as_line, summary  # noqa: PLC0415 - likewise
    from nmos_auth.probe.running import Probe  # noqa: PLC0415 - likewise
    from nmos_auth.probe.wire import NoReply  # noqa: PLC0415 - likewise

    wire, plan = _device(options)
    results: list[Result] = []
    as_they_come = options.json != _STANDARD_OUTPUT
    async with _authorities(options) as (authority, neighbour):
        with progress_line() as progress:
            probe = Probe(wire, authority, neighbour, plan, progress)
            try:
                async for result in probe.run():
                    results.append(result)
                    if as_they_come:
                        progress("")
                        show(as_line(result, columns()))
            except NoReply as error:
                raise ConfigurationError(f"{options.url} does not answer: {error}") from None
    if as_they_come:
        show(summary(results))
    _write(options, results)
    accepted = any(
        each.id == "credentials-good" and each.verdict is Verdict.PASS for each in results
    )
    if not accepted and not (plan.suites and "credentials" not in plan.suites):
        note("The device accepted no good token, so that most rows say nothing.")
        return 3
    return 1 if any(each.verdict is Verdict.FAIL for each in results) else 0


def _device(options: argparse.Namespace) -> tuple[Wire, Plan]:
    from nmos_auth.probe.rows import Suite  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.running import Plan  # noqa: PLC0415 - likewise
    from nmos_auth.probe.wire import Wire  # noqa: PLC0415 - likewise

    try:
        device = split_url(options.url.rstrip("/"))
    except ValueError as error:
        raise ConfigurationError(f"URL: {error}; write https://HOST[:PORT]") from None
    if device.target:
        raise ConfigurationError("URL: write https://HOST[:PORT], and no path")
    host, port = device.host.strip("[]"), device.port
    context = None
    if device.scheme == "https":
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.ca_file is None:
            # The device is the subject here, whoever it is; tokens of a probe open nothing else.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    plan = Plan(
        audience=options.audience or host,
        suites=tuple(Suite(each) for each in options.suite),
        writes=options.writes,
        rate=max(0.1, options.rate),
        patience=options.wait,
        websocket=options.websocket,
    )
    return Wire(host, port, context), plan


@contextlib.asynccontextmanager
async def _authorities(
    options: argparse.Namespace,
) -> AsyncIterator[tuple[ProbeAuthority, ProbeAuthority]]:
    """Run the probe's Authorization Server, and one that is never advertised."""
    from nmos_auth.probe.authority import ProbeAuthority  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.mint import ProbeKey  # noqa: PLC0415 - likewise

    address, _, port = options.listen.rpartition(":")
    if not address or not port.isdecimal():
        raise ConfigurationError(f"--listen: {options.listen!r} is not HOST:PORT")
    name = options.name or address
    with _server_context(options, name) as (context, ca_file):
        authority = ProbeAuthority(name, address, [ProbeKey("probe")], context, int(port))
        neighbour = ProbeAuthority(name, address, [ProbeKey("neighbour")], context)
        try:
            await authority.start()
            await neighbour.start()
        except OSError as error:
            raise ConfigurationError(f"--listen: {options.listen}: {error.strerror}") from None
        try:
            _say_what_to_set(authority.issuer, ca_file, options)
            yield authority, neighbour
        finally:
            await authority.close()
            await neighbour.close()
            note(f"Now take {authority.issuer} out of the device's settings.")


def _say_what_to_set(issuer: str, ca_file: Path | None, options: argparse.Namespace) -> None:
    told = [f"The device must trust the issuer {issuer}"]
    if ca_file is not None:
        told.append(f"and the root certificate in {ca_file}")
    told.append(f"and know itself as {options.audience or urlsplit(options.url).hostname}.")
    note(" ".join(told))


@contextlib.contextmanager
def _server_context(
    options: argparse.Namespace, name: str
) -> Iterator[tuple[ssl.SSLContext | None, Path | None]]:
    if options.http:
        yield None, None
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if bool(options.certificate) != bool(options.private_key):
        raise ConfigurationError("--certificate and --private-key go together")
    if options.certificate:
        try:
            context.load_cert_chain(options.certificate, options.private_key)
        except OSError as error:
            raise ConfigurationError(f"--certificate: {error}") from None
        yield context, None
        return
    import trustme  # noqa: PLC0415 - of the extra

    authority = trustme.CA()
    authority.issue_cert(name).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="nmos-auth-probe-") as directory:
        ca_file = Path(directory) / "root.crt"
        authority.cert_pem.write_to_path(ca_file)
        yield context, ca_file


def _write(options: argparse.Namespace, results: list[Result]) -> None:
    from nmos_auth.probe.reports import as_html, as_json, as_junit  # noqa: PLC0415 - the extra

    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    for path, content in (
        (options.json, as_json(options.url, results)),
        (options.junit, as_junit(options.url, results)),
        (options.html, as_html(options.url, results, date=date)),
    ):
        if path is not None:
            _write_file(path, content)


def _write_file(path: Path, content: str) -> None:
    if path == _STANDARD_OUTPUT:
        show(content)
        return
    try:
        path.write_text(content, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


PROBE_COMMAND = Command(
    name="probe",
    help="Hold a Node or Registry, whoever made it, to IS-10 and BCP-003-02, and report.",
    add_arguments=_add_arguments,
    run=_probe,
)
