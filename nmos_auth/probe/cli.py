"""The command `nmos-auth probe`."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nmos_auth.command import Command, columns, hanging, note, progress_line, show
from nmos_auth.errors import ConfigurationError, MissingExtra
from nmos_auth.probe.rows import Suite
from nmos_auth.servers.urls import split_url

if TYPE_CHECKING:
    from nmos_auth.probe.hosting import Hosting, Servers
    from nmos_auth.probe.judging import Judged
    from nmos_auth.probe.reports import Report
    from nmos_auth.probe.running import Plan
    from nmos_auth.probe.wire import Wire

__all__ = ["PROBE_COMMAND"]

_STANDARD_OUTPUT = Path("-")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", metavar="URL", nargs="*", help="the URL of each device: https://HOST[:PORT]"
    )
    _add_server_arguments(parser.add_argument_group("the probe's own server"))
    _add_device_arguments(parser.add_argument_group("the device"))
    reports = parser.add_argument_group("reports")
    reports.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write the results, or the rows of --list, as JSON; with - print only them",
    )
    reports.add_argument(
        "--junit", metavar="FILE", type=Path, help="write the results as JUnit XML"
    )
    reports.add_argument(
        "--html", metavar="FILE", type=Path, help="write the results as an HTML page"
    )
    reports.add_argument("--list", action="store_true", help="list all rows and their sources")
    parser.epilog = (
        "Only GET, HEAD, OPTIONS, unknown methods and handshakes are sent, unless --writes is"
        " given. Exit codes: 0 no row failed, 1 a row failed, 2 the command line is not valid,"
        " 3 a device could not be tested."
    )


def _add_server_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:0",
        help="where it listens; port 0 is any free port (%(default)s)",
    )
    group.add_argument(
        "--name",
        metavar="HOST",
        default="",
        help="the host name by which the device reaches it (the address of --listen)",
    )
    group.add_argument(
        "--other-name",
        metavar="HOST",
        default="",
        help="another name of this machine, for a second server that only tokens name",
    )
    group.add_argument("--certificate", metavar="FILE", type=Path, help="its PEM certificate")
    group.add_argument("--private-key", metavar="FILE", type=Path, help="the certificate's key")
    group.add_argument(
        "--http", action="store_true", help="serve http and not https, for devices that allow http"
    )
    group.add_argument(
        "--multicast", action="store_true", help="also advertise it by multicast DNS-SD"
    )
    group.add_argument(
        "--priority", metavar="N", type=int, default=100, help="its `pri` in DNS-SD (%(default)s)"
    )


def _add_device_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ca-file",
        metavar="FILE",
        type=Path,
        help="verify the device's certificate with these roots; without it any is accepted",
    )
    group.add_argument(
        "--audience", metavar="NAME", help="the device's name in tokens (the host in URL)"
    )
    suites = [each.value for each in Suite]
    group.add_argument(
        "--suite",
        metavar="NAME",
        nargs="+",
        choices=suites,
        default=[],
        help="try only these groups; without it, all but withdrawal, which takes an hour: "
        + ", ".join(suites),
    )
    group.add_argument(
        "--writes",
        action="store_true",
        help="also send requests that could change something, and undo what they change",
    )
    group.add_argument(
        "--node-id",
        metavar="UUID",
        default="",
        help="the id of the Node that --writes registers (a random one)",
    )
    group.add_argument(
        "--websocket",
        metavar="TARGET",
        help="the WebSocket of events: its URL, or its path and query",
    )
    group.add_argument(
        "--rate", metavar="N", type=float, default=50.0, help="requests a second (%(default)g)"
    )
    group.add_argument(
        "--wait",
        metavar="S",
        type=float,
        default=60.0,
        help="seconds to wait until the device accepts a good token (%(default)g)",
    )


def _probe(options: argparse.Namespace) -> int:
    with MissingExtra.named("probe", "h11", "trustme", "websockets"):
        import h11  # noqa: F401, PLC0415 - of the extra
        import trustme  # noqa: F401, PLC0415 - likewise
        import websockets  # noqa: F401, PLC0415 - likewise
    if options.list:
        _list_rows(options.json)
        return 0
    if not options.url:
        raise ConfigurationError("URL is required, unless --list is given")
    return asyncio.run(_run(options))


def _list_rows(path: Path | None) -> None:
    from nmos_auth.probe.observing import OBSERVATIONS  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.reports import rows_as_json  # noqa: PLC0415 - likewise
    from nmos_auth.probe.table import ROWS  # noqa: PLC0415 - likewise
    from nmos_auth.probe.trials import TRIALS  # noqa: PLC0415 - likewise

    rows: tuple[Judged, ...] = (*ROWS, *TRIALS, *OBSERVATIONS)
    if path is not None:
        _write_file(path, rows_as_json(rows))
        return
    for row in rows:
        show(hanging(f"{row.id}: ", row.title, columns()))
        show(hanging("    ", str(row.source), columns()))


async def _run(options: argparse.Namespace) -> int:
    from nmos_auth.probe.hosting import hosted  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.judging import Verdict  # noqa: PLC0415 - likewise
    from nmos_auth.probe.reports import Report, summary  # noqa: PLC0415 - likewise

    devices = [(url, *_device(options, url)) for url in options.url]
    reports: list[Report] = []
    hosting = _hosting(options)
    as_they_come = options.json != _STANDARD_OUTPUT
    async with hosted(hosting) as servers:
        _say_what_to_set(hosting, servers, [plan.audience for _, _, plan in devices])
        try:
            for url, wire, plan in devices:
                reports.append(Report(url, []))
                await _try(reports[-1], wire, plan, servers, shown=as_they_come)
                if as_they_come:
                    show(summary(reports[-1].results))
        finally:
            # A run that is stopped reports what it found so far.
            _write(options, reports)
            note(f"Now remove {servers.authority.issuer} from the device's settings.")
    untested = [
        each.url
        for each, (_, _, plan) in zip(reports, devices, strict=True)
        if not each.accepted and plan.includes(Suite.CREDENTIALS)
    ]
    for url in untested:
        note(f"{url} did not accept a good token, so most results are not conclusive.")
    if untested:
        return 3
    failed = any(result.verdict is Verdict.FAIL for each in reports for result in each.results)
    return 1 if failed else 0


async def _try(report: Report, wire: Wire, plan: Plan, servers: Servers, *, shown: bool) -> None:
    from nmos_auth.probe.reports import as_line  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.running import Probe  # noqa: PLC0415 - likewise
    from nmos_auth.probe.wire import NoReply  # noqa: PLC0415 - likewise

    with progress_line() as progress:
        probe = Probe(wire, servers.authority, servers.neighbour, plan, servers.outsider, progress)
        try:
            async with aclosing(probe.run()) as results:
                async for result in results:
                    report.results.append(result)
                    if shown:
                        progress("")
                        show(as_line(result, columns()))
        except NoReply as error:
            raise ConfigurationError(f"{report.url} does not answer: {error}") from None


def _device(options: argparse.Namespace, url: str) -> tuple[Wire, Plan]:
    from nmos_auth.probe.running import Plan  # noqa: PLC0415 - needs the extra
    from nmos_auth.probe.wire import Socket, Wire, unverified  # noqa: PLC0415 - likewise

    try:
        device = split_url(url.rstrip("/"))
    except ValueError as error:
        raise ConfigurationError(f"{url}: {error}; write https://HOST[:PORT]") from None
    if device.target:
        raise ConfigurationError(f"{url}: write https://HOST[:PORT], without a path")
    host = device.host.strip("[]")
    context = None
    if device.scheme == "https":
        verified = options.ca_file is not None
        context = ssl.create_default_context(cafile=options.ca_file) if verified else unverified()
    websocket = None
    if options.websocket:
        path = options.websocket.startswith("/")
        websocket = Socket(options.websocket) if path else Socket.of(options.websocket)
        if websocket is None:
            raise ConfigurationError("--websocket: write wss://HOST:PORT/PATH, or /PATH")
    plan = Plan(
        audience=options.audience or host,
        suites=tuple(Suite(each) for each in options.suite),
        writes=options.writes,
        rate=max(0.1, options.rate),
        patience=options.wait,
        websocket=websocket,
        node_id=options.node_id,
    )
    return Wire(host, device.port, context), plan


def _hosting(options: argparse.Namespace) -> Hosting:
    from nmos_auth.probe.hosting import Hosting  # noqa: PLC0415 - needs the extra

    address, _, port = options.listen.rpartition(":")
    if not address or not port.isdecimal():
        raise ConfigurationError(f"--listen: {options.listen!r} is not HOST:PORT")
    return Hosting(
        address.strip("[]"),
        int(port),
        options.name,
        options.other_name,
        not options.http,
        options.certificate,
        options.private_key,
        options.multicast,
        options.priority,
    )


def _say_what_to_set(hosting: Hosting, servers: Servers, audiences: list[str]) -> None:
    from nmos_auth.probe.hosting import records_of  # noqa: PLC0415 - needs the extra

    told = [f"The device must trust the issuer {servers.authority.issuer}"]
    if servers.ca_file is not None:
        told.append(f"and the root certificate in {servers.ca_file}")
    told.append(f"and accept tokens for {', '.join(dict.fromkeys(audiences))}.")
    note(" ".join(told))
    records = records_of(hosting, servers.authority.issuer)
    if records:
        note(f"It can find that issuer by these records in its DNS domain:\n{records}")


def _write(options: argparse.Namespace, reports: list[Report]) -> None:
    from nmos_auth.probe.page import as_html  # noqa: PLC0415 - the extra
    from nmos_auth.probe.reports import as_json, as_junit  # noqa: PLC0415 - likewise

    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    for path, content in (
        (options.json, as_json(reports)),
        (options.junit, as_junit(reports)),
        (options.html, as_html(reports, date=date)),
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
    help="Check Nodes and Registries of any maker against IS-10 and BCP-003-02, and report.",
    add_arguments=_add_arguments,
    run=_probe,
)
