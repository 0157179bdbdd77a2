"""What `nmos-auth probe` does: it hosts servers, tries device after device, and writes reports."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from nmos_auth.command import columns, hanging, note, progress_line, show
from nmos_auth.errors import ConfigurationError
from nmos_auth.probe.catalogue import CATALOGUE
from nmos_auth.probe.hosting import Hosting, Servers, hosted, records_of
from nmos_auth.probe.judging import Verdict
from nmos_auth.probe.page import as_html
from nmos_auth.probe.reports import Report, as_json, as_junit, as_line, rows_as_json, summary
from nmos_auth.probe.rows import Suite
from nmos_auth.probe.running import Plan, Probe
from nmos_auth.probe.wire import NoReply, Socket, Wire, unverified
from nmos_auth.servers.urls import Origin

__all__ = ["run"]

_STANDARD_OUTPUT = Path("-")


def run(options: argparse.Namespace) -> int:
    """Probe the devices that the command line names, or list the rows; return the exit code.

    Args:
        options: the parsed command line.

    Raises:
        ConfigurationError: the command line is not valid, or a device does not answer.
    """
    if options.list:
        _list_rows(options.json)
        return 0
    if not options.url:
        raise ConfigurationError("URL is required, unless --list is given")
    return asyncio.run(_run(options))


def _list_rows(path: Path | None) -> None:
    if path is not None:
        _write_file(path, rows_as_json(CATALOGUE))
        return
    for row in CATALOGUE:
        show(hanging(f"{row.id}: ", row.title, columns()))
        show(hanging("    ", str(row.source), columns()))


async def _run(options: argparse.Namespace) -> int:
    devices = [(url, *_device(options, url)) for url in options.url]
    _check_files(options)
    reports: list[Report] = []
    hosting = _hosting(options)
    as_they_come = _STANDARD_OUTPUT not in {options.json, options.junit, options.html}
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
            note(f"Now remove {servers.authority.issuer} from the device's settings.")
            _write(options, reports)
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
    with progress_line() as progress:
        probe = Probe(wire, servers.authority, servers.neighbour, plan, servers.outsider, progress)
        try:
            async with contextlib.aclosing(probe.run()) as results:
                async for result in results:
                    report.results.append(result)
                    if shown:
                        progress("")
                        show(as_line(result, columns()))
        except NoReply as error:
            raise ConfigurationError(f"{report.url} does not answer: {error}") from None


def _device(options: argparse.Namespace, url: str) -> tuple[Wire, Plan]:
    try:
        device = Origin.parse(url)
    except ValueError as error:
        told = f"{url}: {error}; write https://HOST[:PORT], without a path"
        raise ConfigurationError(told) from None
    host = device.host.strip("[]")
    plan = Plan(
        audience=options.audience or host,
        suites=tuple(Suite(each) for each in options.suite),
        writes=options.writes,
        rate=max(0.1, options.rate),
        patience=options.wait,
        websocket=_websocket(options.websocket),
        node_id=options.node_id or "",
    )
    context = _context(options.ca_file) if device.scheme == "https" else None
    return Wire(host, device.port, context), plan


def _context(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return unverified()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(f"--ca-file: {ca_file} cannot be used: {error}") from None


def _websocket(named: str | None) -> Socket | None:
    if not named:
        return None
    try:
        socket = Socket(named) if named.startswith("/") else Socket.of(named)
    except ValueError:
        socket = None
    if socket is None:
        raise ConfigurationError("--websocket: write wss://HOST:PORT/PATH, or /PATH")
    return socket


def _hosting(options: argparse.Namespace) -> Hosting:
    address, _, port = options.listen.rpartition(":")
    if not address or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigurationError(f"--listen: {options.listen!r} is not HOST:PORT")
    return Hosting(
        _host("--listen", address),
        int(port),
        _host("--name", options.name),
        _host("--other-name", options.other_name),
        not options.http,
        options.certificate,
        options.private_key,
        options.multicast,
        options.priority,
    )


def _host(option: str, name: str) -> str:
    """Return a host name, or an address without the brackets of IPv6; "" if there is none."""
    bare = name.strip("[]")
    try:
        if bare:
            Origin.parse(f"https://[{bare}]" if ":" in bare else f"https://{bare}")
    except ValueError:
        raise ConfigurationError(f"{option}: {name!r} is not a host name or an address") from None
    return bare


def _say_what_to_set(hosting: Hosting, servers: Servers, audiences: list[str]) -> None:
    told = [f"The device must trust the issuer {servers.authority.issuer}"]
    if servers.ca_file is not None:
        told.append(f"and the root certificate in {servers.ca_file}")
    told.append(f"and accept tokens for {', '.join(dict.fromkeys(audiences))}.")
    note(" ".join(told))
    records = records_of(hosting, servers.authority.issuer)
    if records:
        note(f"It can find that issuer by these records in its DNS domain:\n{records}")


def _check_files(options: argparse.Namespace) -> None:
    """Open each report's file, so that a long run does not end without one."""
    for path in (options.json, options.junit, options.html):
        if path not in {None, _STANDARD_OUTPUT}:
            with _writable(path), path.open("a"):
                pass


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None


def _write(options: argparse.Namespace, reports: list[Report]) -> None:
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
    with _writable(path):
        path.write_text(content, "utf-8")
