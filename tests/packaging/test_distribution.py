"""The wheel and the sdist, built twice and tried in bare environments."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(*words: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program, and show what it said where it fails."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def build(directory: Path) -> tuple[Path, Path]:
    """Build sdist and wheel from a clean export of what git knows."""
    source = directory / "source"
    source.mkdir()
    archive = directory / "source.tar"
    run("git", "archive", "-o", archive, "HEAD", cwd=ROOT)
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    out = directory / "out"
    run(sys.executable, "-m", "build", "--outdir", out, cwd=source)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both once."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def bare(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel, and no extra."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", built[1], cwd=directory)
    return python


def test_the_same_bytes_twice(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Whoever builds a release gets the release."""
    again = build(tmp_path)
    for one, other in zip(built, again, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_what_is_in_them(built: tuple[Path, Path]) -> None:
    """The wheel has the package with its types and scripts for Redis; the sdist has all."""
    sdist, wheel = built
    names = zipfile.ZipFile(wheel).namelist()
    assert "nmos_auth/py.typed" in names
    assert any(name.endswith(".lua") for name in names)
    assert not any(name.startswith(("tests/", "example_node/")) for name in names)
    with tarfile.open(sdist) as tar:
        listed = {name.partition("/")[2] for name in tar.getnames()}
    for name in ("README.md", "SECURITY.md", "docs/tutorial.md", "tests/conftest.py", "LICENSE"):
        assert name in listed


def test_the_core_without_extras(bare: Path, tmp_path: Path) -> None:
    """The middleware, the client and the commands need no extra."""
    code = "import nmos_auth, nmos_auth.client, nmos_auth.status; nmos_auth.NmosAuthMiddleware"
    run(bare, "-W", "error", "-c", code, cwd=tmp_path)
    told = run(bare.with_name("nmos-auth"), "--version", cwd=tmp_path).stdout
    assert told.startswith("nmos-auth ")


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("nmos_auth.registry.redis", "redis"),
        ("nmos_auth.client.login.redis", "redis"),
        ("nmos_auth.authority", "authority"),
    ],
)
def test_a_missing_extra_is_named(module: str, extra: str, bare: Path, tmp_path: Path) -> None:
    """A clear word on what to install, for every module that needs one."""
    failed = run(bare, "-c", f"import {module}", cwd=tmp_path, check=False)
    assert failed.returncode != 0
    assert f"asgi-nmos-auth[{extra}]" in failed.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [("serve --allow-http --port 0", "authority"), ("probe http://127.0.0.1:1", "probe")],
)
def test_a_command_names_its_extra(command: str, extra: str, bare: Path, tmp_path: Path) -> None:
    """Exit code 2, and one line."""
    failed = run(bare.with_name("nmos-auth"), *command.split(), cwd=tmp_path, check=False)
    assert failed.returncode == 2
    assert f"asgi-nmos-auth[{extra}]" in failed.stderr
    assert failed.stderr.count("\n") == 1
