"""The reference pages against the code: each setting with its default, each member of a file."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nmos_auth.authority import Client, User, read_authority_file
from nmos_auth.client import ClientSettings
from nmos_auth.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
SETTINGS = (DOCS / "settings.md").read_text("utf-8")
# What the page says in words, since it is found out at the start.
IN_WORDS = {
    "audience": "this host's FQDN",
    "dns_domain": "the resolver's",
    "dns_servers": "the resolver's",
    "ca_file": "the system's",
    "store": "memory",
    "store_key": "`STORE` + `.key`",
}


def default_of(text: str, name: str) -> str:
    """Return what a table has as the default of a setting."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and f"`{name.upper()}`" in cells[1].split(", "):
            return cells[2]
    raise AssertionError(f"{name} is in no table")


def as_written(field: FieldInfo) -> str:
    """Return a default as the page writes it."""
    value = field.default
    if isinstance(value, tuple):
        value = ",".join(str(each) for each in value)
    if isinstance(value, Enum):
        value = value.value
    if value in {None, ""}:
        return "–"  # noqa: RUF001 - as the table has it
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize(
    ("model", "heading"),
    [(Settings, "# Settings"), (ClientSettings, "## Of clients")],
    ids=["server", "client"],
)
def test_every_default_is_that_of_the_code(
    model: type[Settings | ClientSettings], heading: str
) -> None:
    """A setting that both halves have stands in the first table."""
    part = SETTINGS.partition(heading)[2]
    for name, field in model.model_fields.items():
        if model is ClientSettings and name in Settings.model_fields:
            continue
        assert default_of(part, name) == IN_WORDS.get(name, as_written(field)), name


def test_the_file_of_the_development_server(tmp_path: Path) -> None:
    """The example has every table and is accepted, and the page has every member."""
    page = (DOCS / "development-server.md").read_text("utf-8")
    example = (DOCS / "examples" / "authority.toml").read_text("utf-8")
    path = tmp_path / "authority.toml"
    path.write_text(example)
    path.chmod(0o600)
    file = read_authority_file(path)
    assert [len(file.clients), len(file.users)] == [2, 2]
    assert file.registration.permissions.keys() == {"registration"}
    models: list[type[BaseModel]] = [Client, User]
    members = {name for model in models for name in model.model_fields}
    registration = {"open", "open_client_credentials", "initial_access_tokens"}
    shown = set(re.findall(r"`(?:\[\w+\.)?(\w+)(?:\.API\])?`", page))
    assert members | registration <= shown
