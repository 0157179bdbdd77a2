"""What the tool and its subject need around them: a network, names, certificates."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from example_node.client import JWKS_PATH
from tests.conformance.answering import answering
from tests.conformance.results import Run
from tests.conformance.suites import Mode, Subject, Suite

__all__ = ["Server", "Tool", "make_network"]

PORT = 8080
REDIS_PORT = 6379
START_DEADLINE = 30.0
STOP_DEADLINE = 10.0
SUITE_DEADLINE = 1800.0

# The names in the tool's certificates, and its own mock services.
_HOSTS = """\
127.0.0.1 localhost
127.0.0.1 api.testsuite.nmos.tv nmos-api.local
127.0.0.1 mocks.testsuite.nmos.tv nmos-mocks.local crl.testsuite.nmos.tv ocsp.testsuite.nmos.tv
"""
# The tool's DNS server runs while a suite does.
_RESOLVER = "nameserver 127.0.0.1\nsearch testsuite.nmos.tv\noptions timeout:1 attempts:2\n"
# Runs a module as `python -m` does, with httptools or as if it were not installed.
_PROGRAM = """\
import runpy, sys
_, parser, module, *arguments = sys.argv
sys.modules["httptools"] = __import__("httptools") if parser == "httptools" else None
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
_NAMES: Mapping[Mode, str] = {"unicast": "api.testsuite.nmos.tv", "multicast": "nmos-api.local"}


def make_network(directory: Path) -> None:
    """Furnish the network and mount namespaces that this process was started in.

    Raises:
        subprocess.CalledProcessError: the system does not let us.
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
    """What is tested, started again for each way of running it."""

    checkout: Path
    directory: Path

    def command(self, subject: Subject) -> list[str]:
        """Return what starts it."""
        python = [sys.executable, "-c", _PROGRAM, "httptools" if subject.httptools else "h11"]
        match subject.kind:
            case "node":
                return [*python, "example_node"]
            case "registry" | "controller":
                return [*python, f"example_node.{subject.kind}"]
            case "authority":
                issuer = f"https://{_NAMES[subject.mode]}:{PORT}"
                nmos_auth = "import sys; from nmos_auth.cli import main; sys.exit(main())"
                serve = [sys.executable, "-c", nmos_auth, "serve", "--issuer", issuer]
                tls = [
                    argument
                    for certificate, key in self._certificates()
                    for argument in ("--certificate", str(certificate), "--private-key", str(key))
                ]
                return [*serve, "--port", str(PORT), *tls]

    def environment(self, subject: Subject) -> dict[str, str]:
        """Return all of its settings, and none that this process happens to have."""
        foreign = ("EXAMPLE_", "NMOS_AUTH_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        if subject.kind == "authority":
            return kept
        certificates, keys = zip(*self._certificates(), strict=True)
        name, prefix = _NAMES[subject.mode], f"EXAMPLE_{subject.kind.upper()}_"
        settings = {
            f"{prefix}HOST_NAME": name,
            f"{prefix}PORT": str(PORT),
            f"{prefix}TLS_CERTIFICATE": ",".join(map(str, certificates)),
            f"{prefix}TLS_KEY": ",".join(map(str, keys)),
            "EXAMPLE_NODE_INTERFACES": ",".join(["lo"] * subject.legs),
            "EXAMPLE_CONTROLLER_AUTHORIZATION": str(subject.authorization).lower(),
            "EXAMPLE_CONTROLLER_NETWORKS": "127.0.0.0/8",
            # The network has no other Registry that this one could be taken for.
            "EXAMPLE_REGISTRY_PRI": "0",
            "NMOS_AUTH_ENABLED": str(subject.authorization).lower(),
            "NMOS_AUTH_AUDIENCE": name,
            "NMOS_AUTH_DISCOVERY": subject.mode,
            "NMOS_AUTH_DNS_DOMAIN": "testsuite.nmos.tv",
            "NMOS_AUTH_CA_FILE": str(self._authority / "certs/ca.cert.pem"),
            "NMOS_AUTH_AUDIT_LOG": str(self.directory / f"audit-{subject.name}.log"),
        }
        if subject.redis:
            settings["EXAMPLE_REGISTRY_REDIS"] = f"redis://127.0.0.1:{REDIS_PORT}"
        return kept | settings

    @contextlib.contextmanager
    def running(self, subject: Subject) -> Iterator[None]:
        """Run it until the block ends.

        Raises:
            RuntimeError: it did not start.
        """
        with contextlib.ExitStack() as stack:
            if subject.redis:
                redis = ["redis-server", "--port", str(REDIS_PORT), "--save", ""]
                log = self.directory / f"redis-{subject.name}.log"
                stack.enter_context(_running(redis, None, log, REDIS_PORT))
            log = self.directory / f"{subject.name}.log"
            environment = self.environment(subject)
            stack.enter_context(_running(self.command(subject), environment, log, PORT))
            yield

    @property
    def _authority(self) -> Path:
        return self.checkout / "test_data/BCP00301/ca"

    def _certificates(self) -> list[tuple[Path, Path]]:
        """Return the certificates, each with its chain, and their keys."""
        issued = self._authority / "intermediate"
        names = (f"rsa.{_NAMES['unicast']}", f"ecdsa.{_NAMES['unicast']}")
        return [
            (issued / f"certs/{name}.cert.chain.pem", issued / f"private/{name}.key.pem")
            for name in names
        ]


@contextlib.contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str] | None, log: Path, port: int
) -> Iterator[None]:
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            deadline = time.monotonic() + START_DEADLINE
            while not _listening(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read_text()}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()


def _listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@dataclass(frozen=True)
class Tool:
    """A checkout of AMWA's testing tool.

    Attributes:
        checkout: where it is.
        python: a Python that has its requirements.
        mirrors: a directory of bare clones of the specifications, each as NAME.git; None for those
            on GitHub.
        directory: where results and logs go.
    """

    checkout: Path
    python: str
    mirrors: Path | None
    directory: Path

    def prepare(self) -> str | None:
        """Get the specifications, by the machine's own network; returns what went wrong."""
        finished = self._start(["prepare"], self.directory / "prepare.log")
        if finished.returncode == 0:
            return None
        return (self.directory / "prepare.log").read_text()

    def run(self, suite: Suite) -> Run | None:
        """Run a suite against the running subject; None where the tool gave up, or had to."""
        stem = suite.label.replace(", ", "-").replace(" ", "-")
        report = self.directory / f"{stem}.json"
        report.unlink(missing_ok=True)
        subject = suite.subject
        host = _NAMES[subject.mode]
        settings = [
            subject.mode,
            "open" if not subject.authorization else "protected",
            f"https://{host}:{PORT}{JWKS_PATH}",
        ]
        arguments = [*suite.arguments(host, PORT), "--output", str(report)]
        try:
            with self._asked(suite):
                self._start([*settings, *arguments], self.directory / f"{stem}.log")
            return Run.model_validate_json(report.read_bytes())
        except (OSError, ValidationError, subprocess.TimeoutExpired):
            return None

    def _asked(self, suite: Suite) -> contextlib.AbstractContextManager[None]:
        if suite.subject.kind != "controller":
            return contextlib.nullcontext()
        return answering(suite.name, f"https://{_NAMES[suite.subject.mode]}:{PORT}")

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
