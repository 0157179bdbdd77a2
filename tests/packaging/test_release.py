"""`scripts/release`: what it refuses to begin with, and what it makes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from nmos_auth import __version__

ROOT = Path(__file__).parents[2]
DATED = f"## [{__version__}] - 2026-01-31"


def git(clone: Path, *words: str) -> str:
    """Run git in a clone, as somebody."""
    somebody = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    done = subprocess.run(
        ["git", *somebody, *words],  # noqa: S607 - whichever git is first
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone that is ready to be released."""
    git(tmp_path, "clone", "-q", "--no-tags", str(ROOT), "clone")
    clone = tmp_path / "clone"
    changelog = clone / "CHANGELOG.md"
    text = re.sub(r"^## \[.*$", DATED, changelog.read_text("utf-8"), count=1, flags=re.MULTILINE)
    changelog.write_text(text, "utf-8")
    git(clone, "commit", "-qam", "Date the release")
    return clone


def release(clone: Path, timeout: float = 50) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    return subprocess.run(
        [clone / "scripts" / "release"],
        env={**os.environ, "ASGI_NMOS_AUTH_VENV": str(clone.parent / "venv")},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def refused(clone: Path) -> str:
    """Return why nothing was begun."""
    done = release(clone)
    assert (done.returncode, done.stdout) == (1, "")
    assert not (clone.parent / "venv").exists()
    return done.stderr


def test_only_what_is_committed_is_released(clone: Path) -> None:
    """A file that git does not know stops it."""
    (clone / "left-over").touch()
    assert "commit or remove them" in refused(clone)


def test_the_changelog_says_what_is_released_and_when(clone: Path) -> None:
    """Its first section has the version of the package and a date."""
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8").replace(DATED, "## [0.0.1] - Unreleased"))
    git(clone, "commit", "-qam", "Take the date away")
    told = refused(clone)
    assert "'## [0.0.1] - Unreleased'" in told
    assert f"write '## [{__version__}] - 20" in told


def test_a_version_is_released_once(clone: Path) -> None:
    """Its tag stops it."""
    git(clone, "tag", f"v{__version__}")
    assert "raise __version__" in refused(clone)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_release_is_made_and_not_uploaded(clone: Path) -> None:
    """Wheel, sdist, an SBOM that names what is required, checksums, and the rest in words."""
    done = release(clone, timeout=1700)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"git tag -a v{__version__}" in done.stdout
    assert git(clone, "tag") == ""
    assert git(clone, "status", "--porcelain") == ""
    made = {path.name for path in (clone / "dist").iterdir()}
    bom = f"asgi_nmos_auth-{__version__}.cdx.json"
    wheel = f"asgi_nmos_auth-{__version__}-py3-none-any.whl"
    assert made == {bom, wheel, f"asgi_nmos_auth-{__version__}.tar.gz", "SHA256SUMS"}
    told = json.loads((clone / "dist" / bom).read_text("utf-8"))
    assert told["bomFormat"] == "CycloneDX"
    assert told["metadata"]["component"]["name"] == "asgi-nmos-auth"
    assert {"cryptography", "fastapi", "joserfc", "redis"} <= {
        each["name"] for each in told["components"]
    }
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"],  # noqa: S607 - whichever is first
        cwd=clone / "dist",
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout.count(": OK") == 3
