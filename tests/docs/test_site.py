"""The site as it is built: strictly, with links that lead somewhere, and nothing from elsewhere.

It is slow, since it installs Sphinx: `scripts/test -m slow tests/docs/test_site.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.test_pages import DOCS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# What a browser fetches by itself, as links are followed by people only.
_FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}


class _Page(HTMLParser):
    """Collects what a page has and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the ids and the URLs of an element."""
        for name, value in attrs:
            if not value:
                continue
            if name == "id":
                self.ids.add(value)
            elif (tag, name) in _FETCHED and dict(attrs).get("rel") != "canonical":
                self.fetched.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `scripts/docs` does, in an environment of its own."""
    directory = tmp_path_factory.mktemp("site")
    uv = (sys.executable, "-m", "uv")
    python = directory / "venv" / "bin" / "python"
    group = f"{ROOT / 'pyproject.toml'}:docs"
    # A copy: the build writes beside its sources, and includes pages above them.
    shutil.copytree(DOCS, directory / "docs", ignore=shutil.ignore_patterns("_*"))
    for page in ROOT.glob("*.md"):
        shutil.copy(page, directory)
    for words in (
        (*uv, "venv", "--quiet", directory / "venv"),
        (*uv, "pip", "install", "--quiet", "--python", python, "--group", group, "-e", ROOT),
        (
            python,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-b",
            "html",
            directory / "docs",
            directory / "html",
        ),
    ):
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return directory / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    """Return every page of the site."""
    found = {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(found) > len(list(DOCS.glob("*.md")))
    assert all(page.links and page.fetched for page in found.values())
    return found


def test_links_lead_somewhere(site: Path, pages: dict[Path, _Page]) -> None:
    """Each link within the site leads to a file that is there, and to a heading of it."""
    broken = defaultdict(set)
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.exists() or (
                url.fragment and target in pages and url.fragment not in pages[target].ids
            ):
                broken[path.name].add(link)
    assert dict(broken) == {}


def test_nothing_comes_from_elsewhere(site: Path, pages: dict[Path, _Page]) -> None:
    """No font, script, style or picture is fetched but from the site itself."""
    for path, page in pages.items():
        for url in page.fetched:
            assert not urlsplit(url).netloc, (path.name, url)
        assert "cdn." not in path.read_text("utf-8"), path.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text("utf-8")), sheet.name


@pytest.mark.parametrize(
    "module",
    [
        *(
            "nmos_auth",
            "nmos_auth.client",
            "nmos_auth.client.login",
            "nmos_auth.client.login.redis",
        ),
        *("nmos_auth.registry", "nmos_auth.registry.redis", "nmos_auth.status"),
        *("nmos_auth.testing", "nmos_auth.authority", "nmos_auth.discovery"),
    ],
)
def test_every_public_name_is_described(module: str, site: Path, pages: dict[Path, _Page]) -> None:
    """The page of the Python API has what each public module offers."""
    imported = importlib.import_module(module)
    inner = {each.name for each in pkgutil.iter_modules(getattr(imported, "__path__", []))}
    offered = set(imported.__all__) - inner
    described = pages[site / "api.html"].ids
    assert {name for name in offered if f"{module}.{name}" not in described} == set()
