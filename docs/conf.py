"""How Sphinx builds the site; `scripts/docs` runs it."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import nmos_auth
from nmos_auth.cli import parser
from nmos_auth.probe.catalogue import CATALOGUE
from nmos_auth.probe.rows import Suite

project = "asgi-nmos-auth"
version = release = nmos_auth.__version__
project_copyright = "its authors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated", "examples"]

html_theme = "furo"
html_title = "asgi-nmos-auth"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_generated/static"]

# The diagrams are drawn by a copy in the site, and stay text where there is none: never from a CDN.
mermaid_use_local = "mermaid/mermaid.esm.min.mjs"
mermaid_fullscreen = False

autodoc_typehints = "signature"
autodoc_member_order = "alphabetical"
autodoc_default_options = {"members": True, "show-inheritance": True}
nitpicky = False


def _commands() -> str:
    """Return the help of every command, from the parser itself."""
    whole = parser()
    (commands,) = [each for each in whole._actions if isinstance(each, argparse._SubParsersAction)]
    parts = []
    for name, command in sorted(commands.choices.items()):
        command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
        parts.append(f"## nmos-auth {name}\n\n```text\n{command.format_help()}```\n")
    return "\n".join(parts)


def _rows() -> str:
    """Return what `nmos-auth probe` tries, from its own table: a table for each group."""
    parts = []
    for suite in Suite:
        lines = [
            f"### {suite.value}",
            "",
            "| row | what is tried | sentence |",
            "| --- | --- | --- |",
        ]
        for row in CATALOGUE:
            if row.suite is suite:
                cells = (f"`{row.id}`", row.title, str(row.source))
                lines.append(
                    f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |"
                )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


_generated = Path(__file__).parent / "_generated"
_static = _generated / "static"
_static.mkdir(parents=True, exist_ok=True)
if _mermaid := os.environ.get("ASGI_NMOS_AUTH_MERMAID"):  # an unpacked npm package
    _without_maps = shutil.ignore_patterns("*.map")
    for _part in ("mermaid.esm.min.mjs", "chunks/mermaid.esm.min"):
        _source, _target = Path(_mermaid, "dist", _part), _static / "mermaid" / _part
        _target.parent.mkdir(parents=True, exist_ok=True)
        if _source.is_dir():
            shutil.copytree(_source, _target, ignore=_without_maps, dirs_exist_ok=True)
        else:
            shutil.copy(_source, _target)
(_generated / "commands.md").write_text(_commands(), "utf-8")
(_generated / "probe-rows.md").write_text(_rows(), "utf-8")


def _free_examples(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Take a docstring's example out of the section that it stands below."""
    example = False
    for number, line in enumerate(lines):
        if line.strip().startswith(">>> ") and line.startswith("    "):
            example = True
        elif not line.strip():
            example = False
        if example:
            lines[number] = line[4:]


def setup(app: object) -> None:
    """Let Sphinx call what it must before it reads docstrings."""
    app.connect("autodoc-process-docstring", _free_examples, priority=400)  # type: ignore[attr-defined]
