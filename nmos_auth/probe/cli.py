"""The command `nmos-auth probe`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from nmos_auth.command import Command, number, whole
from nmos_auth.probe.rows import Suite

__all__ = ["PROBE_COMMAND"]


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
        help="write the results, or the rows of --list, as JSON; - is standard output, also for the"
        " other reports, and then nothing else is printed there",
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
        "--priority",
        metavar="N",
        type=whole(0, 65535),
        default=100,
        help="its `pri` in DNS-SD (%(default)s)",
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
        type=_node_id,
        help="the id of the Node that --writes registers (a random one)",
    )
    group.add_argument(
        "--websocket",
        metavar="TARGET",
        help="the WebSocket of events: its URL, or its path and query",
    )
    group.add_argument(
        "--rate", metavar="N", type=number, default=50.0, help="requests a second (%(default)g)"
    )
    group.add_argument(
        "--wait",
        metavar="S",
        type=number,
        default=60.0,
        help="seconds to wait until the device accepts a good token (%(default)g)",
    )


def _node_id(text: str) -> str:
    # IS-04 has ids in lower case.
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise argparse.ArgumentTypeError("must be a UUID in lower case")
    return text


def _run(options: argparse.Namespace) -> int:
    from nmos_auth.probe.command import run  # noqa: PLC0415 - the parser requires no extra

    return run(options)


PROBE_COMMAND = Command(
    name="probe",
    help="Check Nodes and Registries of any maker against IS-10 and BCP-003-02, and report.",
    add_arguments=_add_arguments,
    run=_run,
)
