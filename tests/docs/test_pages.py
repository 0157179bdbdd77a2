"""The pages: their commands parse, their tables are whole, their links lead somewhere."""

from __future__ import annotations

import json
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

from nmos_auth.cli import parser
from nmos_auth.client import ClientSettings
from nmos_auth.settings import Settings
from tests.support.links import local_links

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CURRENT = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
# What the changelog has may be true of earlier versions only.
WRITTEN = [*CURRENT, ROOT / "CHANGELOG.md"]
_PLACE = re.compile(
    r"(?<![\w/.-])(?:scripts|tests|docs|example_node|nmos_auth|benchmarks)/[\w/.-]+"
)
_NAME = re.compile(r"`(nmos_auth(?:\.\w+)+)")
_LITERALS = {
    name
    for path in (ROOT / "nmos_auth").rglob("*.py")
    for name in re.findall(r'"(nmos_auth(?:\.\w+)+)"', path.read_text("utf-8"))
}


def commands(page: Path) -> list[list[str]]:
    """Return the `nmos-auth` commands of a page's shell blocks, word by word."""
    found = []
    for language, block in _BLOCK.findall(page.read_text("utf-8")):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["nmos-auth"]:
                    found.append(words[1:])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page: Path) -> None:
    """Every command of every page is one that the command line accepts."""
    for words in commands(page):
        parser().parse_args(words)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file leads to one that is there."""
    for target in local_links(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_what_pages_name_is_there(page: Path) -> None:
    """Every file of the tree and every name of the package that a page has is there."""
    text = page.read_text("utf-8")
    for place in _PLACE.findall(text):
        assert (ROOT / place.rstrip(".")).exists(), place
    for name in _NAME.findall(text):
        assert _is_known(name), name


def _is_known(name: str) -> bool:
    # Names of loggers and metrics look like modules.
    if name in _LITERALS:
        return True
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_every_page_is_reached_from_the_first() -> None:
    """The tables of contents name each page once."""
    index = (DOCS / "index.md").read_text("utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    listed = [line for tree in trees for line in tree.splitlines() if line and line[0] != ":"]
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


@pytest.mark.parametrize("model", [Settings, ClientSettings])
def test_every_setting_is_in_the_table(model: type[Settings | ClientSettings]) -> None:
    """What the code reads is what the page says."""
    text = (DOCS / "settings.md").read_text("utf-8")
    for name in model.model_fields:
        assert f"`{name.upper()}`" in text, name


def test_the_dashboard_is_json() -> None:
    """Grafana imports it, and it has panels."""
    assert json.loads((DOCS / "grafana.json").read_text("utf-8"))["panels"]
