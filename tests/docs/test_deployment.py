"""Containers, systemd units and Kubernetes manifests: their schemas, their settings, their words.

No container runtime and no cluster is asked. What the containers of the demonstration run is run
here as processes. That and the schemas are slow: `scripts/test -m slow tests/docs`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import BaseModel

from example_node.controller.settings import Settings as ControllerSettings
from example_node.registry.settings import Settings as RegistrySettings
from example_node.settings import Settings as NodeSettings
from nmos_auth.client import ClientSettings
from nmos_auth.settings import ENV_FILE, Settings
from tests.docs.test_pages import CURRENT
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
DEMONSTRATION = EXAMPLES / "demonstration"
UNITS = sorted((EXAMPLES / "systemd").glob("*.service"))
MANIFESTS = [EXAMPLES / "kubernetes" / f"{name}.yaml" for name in ("node", "registry")]
PROGRAMS = Path(sys.executable).parent
MODELS: dict[str, type[BaseModel]] = {
    "NMOS_AUTH_": Settings,
    "NMOS_AUTH_CLIENT_": ClientSettings,
    "EXAMPLE_CONTROLLER_": ControllerSettings,
    "EXAMPLE_NODE_": NodeSettings,
    "EXAMPLE_REGISTRY_": RegistrySettings,
}
VARIABLES = {
    ENV_FILE,
    *(f"{prefix}{name}".upper() for prefix, model in MODELS.items() for name in model.model_fields),
}


def check(*words: str | Path) -> None:
    """Run a program that judges a file."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [DEMONSTRATION / "compose.yaml", *UNITS, *MANIFESTS, *CURRENT],
    ids=lambda path: path.name,
)
def test_every_variable_is_a_setting(path: Path) -> None:
    """What examples and pages set is what the code reads."""
    found = re.findall(r"\b(?:NMOS_AUTH|EXAMPLE)_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    assert set(found) <= VARIABLES
    assert found or path in CURRENT


@pytest.mark.slow
def test_the_compose_file_follows_its_schema() -> None:
    """By the schema of the Compose Specification."""
    command = PROGRAMS / "check-jsonschema"
    check(command, "--builtin-schema", "vendor.compose-spec", DEMONSTRATION / "compose.yaml")


def test_the_containerfile_is_clean() -> None:
    """By hadolint; and what it copies is there."""
    path = DEMONSTRATION / "Containerfile"
    check(PROGRAMS / "hadolint", path)
    for words in re.findall(r"^COPY (?!--from)(.*)$", path.read_text("utf-8"), re.MULTILINE):
        for source in words.split()[:-1]:
            assert (ROOT / source).exists()


@pytest.mark.slow
def test_the_manifests_follow_their_schemas() -> None:
    """By the schemas of Kubernetes, without any property that it does not know."""
    check(PROGRAMS / "kubernetes-validate", "--strict", *MANIFESTS)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_manifests_are_put_together(tmp_path: Path) -> None:
    """By kustomize, with the root certificate of the plant in a ConfigMap that the Node mounts."""
    shutil.copytree(EXAMPLES / "kubernetes", tmp_path / "kubernetes")
    (tmp_path / "kubernetes" / "root.crt").write_text("a certificate")
    words = ["kubectl", "kustomize", str(tmp_path / "kubernetes")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    (trust,) = [each for each in made if each["kind"] == "ConfigMap"]
    assert done.stdout.count(f"name: {trust['metadata']['name']}") == 3


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_the_units_are_whole(unit: Path, tmp_path: Path) -> None:
    """By systemd itself, with the interpreter of these tests where the unit's own would be."""
    text = re.sub(r"/opt/\w+/venv/bin", str(PROGRAMS), unit.read_text("utf-8"))
    here = tmp_path / unit.name
    here.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", here],  # noqa: S607 - whichever is first
        capture_output=True,
        text=True,
        check=False,
    )
    # It speaks of the units of this machine, too.
    assert unit.name not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_the_page_names_services() -> None:
    """What its commands run, show and copy from are services of the compose file."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    named = re.findall(r"docker compose (?:run --rm|logs|cp) (\w+)", text)
    services = yaml.safe_load((DEMONSTRATION / "compose.yaml").read_text("utf-8"))["services"]
    assert named
    assert set(named) <= services.keys()


class Containers:
    """The services of the compose file, as processes of this machine."""

    def __init__(self, directory: Path) -> None:
        text = (DEMONSTRATION / "compose.yaml").read_text("utf-8")
        self.ports = {name: free_port() for name in ("auth", "registry", "node", "controller")}
        for name, port in self.ports.items():
            text = text.replace(f"https://{name}.plant.internal:8443", f"https://localhost:{port}")
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        text = re.sub(r"\b\w+\.plant\.internal", "localhost", text)
        clients = (DEMONSTRATION / "clients.toml").read_text("utf-8")
        (directory / "clients.toml").write_text(clients.replace("*.plant.internal", "localhost"))
        text = text.replace("/etc/nmos/clients.toml", str(directory / "clients.toml"))
        (directory / "tls").mkdir()
        text = text.replace("/tls", str(directory / "tls"))
        self._services: dict[str, Any] = yaml.safe_load(text)["services"]
        self._directory = directory

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start what a container of this name runs."""
        service = self._services[name]
        state = self._directory / name
        state.mkdir(mode=0o700, exist_ok=True)
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("NMOS_AUTH_", "EXAMPLE_"))
        }
        words = [each.replace("/state", str(state)) for each in service["command"]]
        own = {
            key: str(value).replace("/state", str(state))
            for key, value in service.get("environment", {}).items()
        }
        port = self.ports.get(name)
        own = {key: str(port) if key.endswith("_PORT") else value for key, value in own.items()}
        if name == "auth":
            words.append(f"--port={port}")
        return subprocess.Popen(
            [shutil.which(words[0], path=f"{PROGRAMS}:{os.environ['PATH']}") or "", *words[1:]],
            cwd=ROOT if "-m" in words else EXAMPLES,
            env={**clean, **own, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Run services until the block ends."""
        processes = [self.start(name) for name in names]
        try:
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.communicate(timeout=20)


def _page_of(url: str, context: ssl.SSLContext, deadline: float) -> httpx.Response:
    """Read a page as soon as its server listens, of which nothing else tells."""
    while True:
        try:
            return httpx.get(url, verify=context, trust_env=False, follow_redirects=True)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_demonstration_works(tmp_path: Path) -> None:
    """Certificates are made, the Node registers, a script finds it, and the Controller is up."""
    containers = Containers(tmp_path)
    with containers.start("certificates") as made:
        told, _ = made.communicate(timeout=30)
    assert made.returncode == 0, told
    with containers.running("auth", "registry", "node", "controller"):
        deadline = time.monotonic() + 60
        told = ""
        while "Reference Node" not in told:
            assert time.monotonic() < deadline, told
            with containers.start("script") as script:
                told, _ = script.communicate(timeout=30)
        context = ssl.create_default_context(cafile=tmp_path / "tls" / "client.pem")
        url = f"https://localhost:{containers.ports['controller']}/login"
        page = _page_of(url, context, deadline)
        assert page.url.port == containers.ports["auth"]
        assert page.status_code == 200


def test_a_node_without_keys_is_sent_no_request() -> None:
    """Kubernetes asks the Node itself whether it is ready."""
    made = yaml.safe_load_all((EXAMPLES / "kubernetes" / "node.yaml").read_text("utf-8"))
    (deployment,) = [each for each in made if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
