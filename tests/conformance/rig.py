"""What the tool and its subject need around them: a network, names, certificates."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from example_node.client import JWKS_PATH
from tests.conformance.results import Run
from tests.conformance.suites import Mode, Subject, Suite

__all__ = ["Server", "Tool", "make_network"]

PORT = 8080
START_DEADLINE = 30.0
SUITE_DEADLINE = 1800.0

# The names in the tool's certificates, and its own mock services.
_HOSTS = """\
127.0.0.1 localhost
127.0.0.1 api.testsuite.nmos.tv nmos-api.local
127.0.0.1 mocks.testsuite.nmos.tv nmos-mocks.local crl.testsuite.nmos.tv ocsp.testsuite.nmos.tv
"""
# The tool's DNS server runs while a suite does.
_RESOLVER = "nameserver 127.0.0.1\nsearch testsuite.nmos.tv\noptions timeout:1 attempts:2\n"
_MODULES: Mapping[Subject, str] = {"node": "example_node", "registry": "example_node.registry"}
_NAMES: Mapping[Mode, str] = {"unicast": "api.testsuite.nmos.tv", "multicast": "nmos-api.local"}


def make_network(directory: Path) -> None:
    """Furnish the network and mount namespaces that this process was started in.

    Raises:
        subprocess.CalledProcessError: The system does not let us.
    """
    commands = [
        ["ip", "link", "set", "lo", "up", "multicast", "on"],
        ["ip", "route", "add", "224.0.0.0/4", "dev", "lo"],  # multicast DNS stays on loopback
        ["ip", "route", "add", "192.0.2.1/32", "dev", "lo"],  # a Registry that never answers
    ]
    for name, content in (("hosts", _HOSTS), ("resolv.conf", _RESOLVER)):
        (directory / name).write_text(content)
        commands.append(["mount", "--bind", str(directory / name), f"/etc/{name}"])
    for command in commands:
        subprocess.run(command, check=True)


@dataclass(frozen=True)
class Server:
    """The example Node or Registry, started anew for each mode of discovery."""

    checkout: Path
    directory: Path

    def environment(self, subject: Subject, mode: Mode) -> dict[str, str]:
        """Give all of its settings, and none that this process happens to have."""
        foreign = ("EXAMPLE_", "NMOS_AUTH_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        authority = self.checkout / "test_data/BCP00301/ca"
        issued = authority / "intermediate"
        names = (f"rsa.{_NAMES['unicast']}", f"ecdsa.{_NAMES['unicast']}")
        prefix = f"EXAMPLE_{subject.upper()}_"
        return {
            **kept,
            f"{prefix}HOST_NAME": _NAMES[mode],
            f"{prefix}PORT": str(PORT),
            f"{prefix}TLS_CERTIFICATE": ",".join(
                f"{issued}/certs/{name}.cert.chain.pem" for name in names
            ),
            f"{prefix}TLS_KEY": ",".join(f"{issued}/private/{name}.key.pem" for name in names),
            "EXAMPLE_NODE_INTERFACES": "lo",
            "NMOS_AUTH_AUDIENCE": _NAMES[mode],
            "NMOS_AUTH_DISCOVERY": mode,
            "NMOS_AUTH_DNS_DOMAIN": "testsuite.nmos.tv",
            "NMOS_AUTH_CA_FILE": str(authority / "certs/ca.cert.pem"),
            "NMOS_AUTH_AUDIT_LOG": str(self.directory / f"audit-{subject}-{mode}.log"),
        }

    @contextlib.contextmanager
    def running(self, subject: Subject, mode: Mode) -> Iterator[None]:
        """Run it until the block ends.

        Raises:
            RuntimeError: It did not start.
        """
        log = self.directory / f"{subject}-{mode}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULES[subject]],
                env=self.environment(subject, mode),
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + START_DEADLINE
            while not _listening():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the example {subject} did not start:\n{log.read_text()}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(10)


def _listening() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
        return True
    return False


@dataclass(frozen=True)
class Tool:
    """A checkout of AMWA's testing tool.

    Attributes:
        checkout: Where it is.
        python: A Python that has its requirements.
        mirrors: A directory of bare clones of the specifications, each as NAME.git; None for those
            on GitHub.
        directory: Where results and logs go.
    """

    checkout: Path
    python: str
    mirrors: Path | None
    directory: Path

    def prepare(self) -> str | None:
        """Get the specifications, which takes the machine's own network; gives what went wrong."""
        finished = self._start(["prepare"], self.directory / "prepare.log")
        if finished.returncode == 0:
            return None
        return (self.directory / "prepare.log").read_text()

    def run(self, suite: Suite) -> Run | None:
        """Run a suite against the running subject; None where the tool gave up, or had to."""
        stem = self.directory / suite.label.replace(" ", "-")
        report = stem.with_suffix(".json")
        report.unlink(missing_ok=True)
        host = _NAMES[suite.mode]
        arguments = [*suite.arguments(host, PORT), "--output", str(report)]
        keys = f"https://{host}:{PORT}{JWKS_PATH}"
        try:
            self._start([suite.mode, keys, *arguments], stem.with_suffix(".log"))
            return Run.model_validate_json(report.read_bytes())
        except (OSError, ValidationError, subprocess.TimeoutExpired):
            return None

    def _start(self, arguments: list[str], log: Path) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"}
        if self.mirrors is not None:
            environment |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.{self.mirrors}/.insteadOf",
                "GIT_CONFIG_VALUE_0": "https://github.com/AMWA-TV/",
            }
        with log.open("wb") as output:
            return subprocess.run(
                [self.python, str(Path(__file__).with_name("tool.py")), *arguments],
                cwd=self.checkout,
                env=environment,
                stdout=output,
                stderr=output,
                check=False,
                timeout=SUITE_DEADLINE,
            )
