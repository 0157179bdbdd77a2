"""Runs AMWA's testing tool against the reference Node and Registry, and the development server.

    scripts/conformance CHECKOUT [SUITE …]

`docs/conformance.md` tells what is needed, and what the results mean.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from types import FrameType

from tests.conformance.results import Run, counts_table, exit_status, notable_lines
from tests.conformance.rig import Server, Tool, make_network
from tests.conformance.suites import SUITES, Suite

# Without these nothing runs; without those below, single tests do not.
_COMMANDS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "git": "git",
}
_OPTIONAL_COMMANDS = {
    "host": "BCP-003-01 (testssl.sh looks names up; bind9-dnsutils, bind9-host)",
    "dig": "BCP-003-01 (likewise)",
    "chromium": "IS-04-04 and IS-05-03, whose questions are answered from the Controller's page",
    "redis-server": "IS-04-02 with owners in Redis (redis-server)",
    "sdpoker": "IS-05-01 test_41 (npm install github:AMWA-TV/sdpoker)",
}


def main() -> int:
    """Run the suites; the return value is the exit status."""
    options = _parse()
    directory: Path = options.results.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    checkout: Path = options.checkout.absolute()
    tool = Tool(checkout, options.python or _python_of(checkout), options.mirrors, directory)
    if options.in_namespace:
        return _run(tool, options.suites)
    missing = list(_missing(tool))
    for each in missing:
        print(f"missing: {each}", file=sys.stderr)
    if missing:
        return 2
    for each in _left_out(tool):
        print(f"not tested without it: {each}")
    fault = tool.prepare()
    if fault:
        print(f"the testing tool cannot be prepared:\n{fault}", file=sys.stderr)
        print(
            f"If a module is missing: {tool.python} -m pip install -r {checkout}/requirements.txt",
            file=sys.stderr,
        )
        return 2
    sys.stdout.flush()
    return _in_namespaces([*sys.argv[1:], "--in-namespace"])


def _in_namespaces(arguments: Sequence[str]) -> int:
    """Run this program in namespaces of its own; with them ends all that was started in them."""
    # Ordinary users get their namespaces where the system lets them; root always does.
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    namespaces = ["--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", *as_root]
    ends_with_us = ["setpriv", "--pdeathsig", "KILL"]
    itself = [sys.executable, "-m", "tests.conformance"]
    command = [*ends_with_us, "unshare", *namespaces, *itself, *arguments]
    with subprocess.Popen(command) as process:

        def end(number: int, _: FrameType | None) -> None:
            # `unshare` waits for what it started, whatever else it is told.
            process.kill()
            sys.exit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, end)
        return process.wait()


def _parse() -> argparse.Namespace:
    names = list(dict.fromkeys(suite.name for suite in SUITES))
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of AMWA-TV/nmos-testing")
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE",
        help=f"of {', '.join(names)}; or one run of it, as the table of results names it; all",
    )
    parser.add_argument(
        "--python", help="a Python with the tool's requirements; that of its venv or .venv"
    )
    parser.add_argument(
        "--mirrors",
        type=Path,
        help="a directory of bare clones of the specifications, NAME.git each, where GitHub is not"
        " to be asked",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("build/conformance"), help="where results go"
    )
    parser.add_argument("--in-namespace", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args()
    options.suites = options.suites or names
    unknown = set(options.suites).difference(names, (suite.label for suite in SUITES))
    if unknown:
        parser.error(f"not a suite that runs here: {', '.join(sorted(unknown))}")
    if options.mirrors is not None:
        options.mirrors = options.mirrors.absolute()
    return options


def _python_of(checkout: Path) -> str:
    for name in (".venv", "venv"):
        python = checkout / name / "bin/python"
        if os.access(python, os.X_OK):
            return str(python)
    return "python3"


def _missing(tool: Tool) -> Iterator[str]:
    if not (tool.checkout / "nmos-test.py").is_file():
        yield f"{tool.checkout}/nmos-test.py; give a checkout of AMWA-TV/nmos-testing"
    if which(tool.python) is None:
        yield f"{tool.python}, a Python with the testing tool's requirements"
    if tool.mirrors is not None and not (tool.mirrors / "is-04.git").is_dir():
        yield f"{tool.mirrors}/is-04.git and its like, bare clones of the specifications"
    for command, package in _COMMANDS.items():
        if which(command) is None:
            yield f"the command {command}, of {package}"


def _left_out(tool: Tool) -> Iterator[str]:
    if not os.access(tool.checkout / "testssl/testssl.sh", os.X_OK):
        yield "testssl/testssl.sh in the checkout, not newer than 3.0: BCP-003-01"
    for command, tests in _OPTIONAL_COMMANDS.items():
        if which(command) is None:
            yield f"the command {command}: {tests}"


def _can_run(suite: Suite) -> bool:
    if suite.subject.kind == "controller":
        return which("chromium") is not None
    return not suite.subject.redis or which("redis-server") is not None


def _run(tool: Tool, names: Sequence[str]) -> int:
    make_network(tool.directory)
    server = Server(tool.checkout, tool.directory)
    runs: dict[str, Run | None] = {}
    chosen = [suite for suite in SUITES if {suite.name, suite.label} & {*names} and _can_run(suite)]
    for subject, suites in itertools.groupby(chosen, lambda suite: suite.subject):
        of_subject = list(suites)
        runs |= dict.fromkeys((suite.label for suite in of_subject), None)
        try:
            with server.running(subject):
                for suite in of_subject:
                    print(f"{suite.label} ...", flush=True)
                    runs[suite.label] = tool.run(suite)
        except RuntimeError as error:
            print(error, file=sys.stderr)
    print()
    for line in counts_table(runs):
        print(line)
    print()
    for label, run in runs.items():
        for line in notable_lines(label, run.tests) if run else ():
            print(line)
    print(f"\nresults and logs: {tool.directory}")
    return exit_status(runs)


if __name__ == "__main__":
    sys.exit(main())
