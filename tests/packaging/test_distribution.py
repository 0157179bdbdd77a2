"""The wheel and the sdist, built twice and tried in bare environments.

`scripts/release` has them tried that it hands on: those in ASGI_NMOS_AUTH_DIST.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.test_extras import EVERY_MODULE, EXTRAS
from tests.support.links import local_links

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


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
    return _found(out)


def _found(directory: Path) -> tuple[Path, Path]:
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return sdist and wheel: those to be released, or built here."""
    given = os.environ.get("ASGI_NMOS_AUTH_DIST")
    return _found(Path(given)) if given else build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def unpacked(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the sdist, unpacked."""
    directory = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built[0]) as tar:
        tar.extractall(directory, filter="data")
    (inner,) = directory.iterdir()
    return inner


def environment(directory: Path, what: str) -> Path:
    """Return the directory of the programs of an environment with one thing installed."""
    run(sys.executable, "-m", "uv", "venv", "--quiet", directory, cwd=directory.parent)
    python = directory / "bin" / "python"
    words = ("-m", "uv", "pip", "install", "--quiet", "--python", python, what)
    run(sys.executable, *words, cwd=directory)
    return directory / "bin"


@pytest.fixture(scope="module")
def bare(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel, and no extra."""
    return environment(tmp_path_factory.mktemp("bare") / "venv", str(built[1]))


def test_the_same_bytes_twice(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Whoever builds a release gets the release."""
    again = build(tmp_path)
    for one, other in zip(built, again, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_what_is_in_the_wheel(built: tuple[Path, Path]) -> None:
    """The package with its types and scripts for Redis, and nothing beside it."""
    wheel = zipfile.ZipFile(built[1])
    names = wheel.namelist()
    assert "nmos_auth/py.typed" in names
    assert any(name.endswith(".lua") for name in names)
    assert not any(name.startswith(("tests/", "example_node/", "docs/")) for name in names)
    (metadata,) = [name for name in names if name.endswith("/METADATA")]
    # A package index shows the README, where a link into the tree leads nowhere.
    readme = wheel.read(metadata).decode().partition("\n\n")[2]
    assert "# asgi-nmos-auth" in readme
    assert local_links(readme) == []


def test_what_is_in_the_sdist(unpacked: Path) -> None:
    """All that git knows, but for what is of the repository; each link leads to a file in it."""
    known = set(run("git", "ls-files", cwd=ROOT).stdout.splitlines())
    listed = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in known - listed if not name.startswith(".")} == set()
    for page in unpacked.rglob("*.md"):
        for target in local_links(page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_core_without_extras(bare: Path, tmp_path: Path) -> None:
    """The middleware, the client and the commands need no extra; each module names its own."""
    code = "import nmos_auth, nmos_auth.client, nmos_auth.status; nmos_auth.NmosAuthMiddleware"
    run(bare / "python", "-W", "error", "-c", code, cwd=tmp_path)
    told = run(bare / "nmos-auth", "--version", cwd=tmp_path).stdout
    assert re.fullmatch(r"nmos-auth \d+\.\d+\.\d+\n", told)
    assert "authlib" in run(bare / "python", "-c", EVERY_MODULE, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "extra"),
    [("serve --allow-http --port 0", "authority"), ("probe http://127.0.0.1:1", "probe")],
)
def test_a_command_names_its_extra(command: str, extra: str, bare: Path, tmp_path: Path) -> None:
    """Exit code 2, and one line."""
    failed = run(bare / "nmos-auth", *command.split(), cwd=tmp_path, check=False)
    assert failed.returncode == 2
    assert f"asgi-nmos-auth[{extra}]" in failed.stderr
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_is_enough(extra: str, built: tuple[Path, Path], tmp_path: Path) -> None:
    """With one extra and no other, what it is for works."""
    programs = environment(tmp_path / "venv", f"{built[1]}[{extra}]")
    run("bash", "-c", f"{programs}/{EXTRAS[extra]}", cwd=tmp_path)


def test_the_sdist_has_the_demonstration(unpacked: Path, tmp_path: Path) -> None:
    """Whoever unpacks it and installs the extra `example` can run the demonstration."""
    programs = environment(tmp_path / "venv", f"{unpacked}[example]")
    told = run(programs / "python", "-m", "example_node.demo", "--once", cwd=unpacked).stdout
    assert " 200 " in told
    assert " 403 " in told


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_what_is_required_can_be_had_together(python: str) -> None:
    """`uv pip compile` finds versions for the package with all its extras."""
    words = ("-m", "uv", "pip", "compile", "--quiet", "--all-extras", "--python-version", python)
    told = run(sys.executable, *words, "pyproject.toml", cwd=ROOT).stdout
    assert "fastapi==" in told
