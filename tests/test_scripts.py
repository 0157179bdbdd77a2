"""What people start by hand: scripts, sessions of nox and blocks that no test runs still fit."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_pages import CURRENT, ROOT

SCRIPTS = sorted((ROOT / "scripts").iterdir())
NOXFILE = ROOT / "noxfile.py"
CI = ROOT / ".ci" / "run"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_VARIABLE = re.compile(r"\bASGI_NMOS_AUTH_[A-Z_]+\b")


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the commands of a page's blocks, or of a script, word by word."""
    text = path.read_text("utf-8")
    for block in _BLOCK.findall(text) if path.suffix == ".md" else [text]:
        for line in block.replace("\\\n", " ").splitlines():
            try:
                yield shlex.split(line, comments=True)
            except ValueError:  # it is a part of a longer command
                continue


def _sources(script: Path) -> str:
    """Return the text of a script and of the modules that it starts."""
    text = script.read_text("utf-8")
    for name in re.findall(r'"\$python" -m ((?:tests|example_node|benchmarks)[\w.]*)', text):
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert spec.origin is not None, name
        origin = Path(spec.origin)
        text += (
            origin.with_name("__main__.py") if spec.submodule_search_locations else origin
        ).read_text()
    return text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_started(script: Path) -> None:
    """Bash can read it, it is executable, and the modules that it starts are there."""
    subprocess.run(["bash", "-n", script], check=True)  # noqa: S607 - whichever is first
    assert script.name == "environment" or script.stat().st_mode & 0o100
    assert _sources(script)


@pytest.mark.parametrize("page", [*CURRENT, CI], ids=lambda path: path.name)
def test_scripts_know_the_options_that_pages_have(page: Path) -> None:
    """In every block, run or not, each script is there, and has the options."""
    for words in _lines(page):
        for script in (word for word in words if word.startswith("scripts/")):
            arguments = words[words.index(script) + 1 :]
            text = _sources(ROOT / script)
            for each in arguments:
                if each.startswith("--") and each != "--help" and script != "scripts/test":
                    assert each in text, (script, each)


@pytest.mark.parametrize("page", CURRENT, ids=lambda path: path.name)
def test_modules_that_pages_start_are_there(page: Path) -> None:
    """`python -m` names a module, in every block, run or not."""
    for words in _lines(page):
        for program, option, module in zip(words, words[1:], words[2:], strict=False):
            if Path(program).name in {"python", "python3"} and option == "-m":
                assert importlib.util.find_spec(module) is not None, module


def test_the_matrix_is_there() -> None:
    """Each session that is named is one; what they test is there, with all extras."""
    words = [sys.executable, "-m", "nox", "--list"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^[*-] ((\w+)\S*)", listed, re.MULTILINE)
    sessions = {name for names in found for name in names}
    for path in (*CURRENT, CI, *(ROOT / "tests").rglob("*.py")):
        for named in re.findall(r"nox`? -s ([a-z0-9. -]+)", path.read_text("utf-8")):
            assert set(named.split()) <= sessions, path.name
    text = NOXFILE.read_text("utf-8")
    for path in re.findall(r'"(tests/[^"]+)"', text):
        assert (ROOT / path).exists(), path
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    assert re.findall(r'^EXTRAS = "(.*)"$', text, re.MULTILINE) == [",".join(sorted(extras))]


def test_variables_that_are_set_are_read() -> None:
    """What the scripts, the pages and CI set for tests and documentation is read there."""
    read = {
        name
        for path in (
            ROOT / "scripts" / "environment",
            ROOT / "docs" / "conf.py",
            *(ROOT / "tests").rglob("*.py"),
        )
        if path != Path(__file__)
        for name in _VARIABLE.findall(path.read_text("utf-8"))
    }
    for path in (*SCRIPTS, *CURRENT, CI, NOXFILE):
        assert set(_VARIABLE.findall(path.read_text("utf-8"))) <= read, path.name
