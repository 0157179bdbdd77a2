"""Clients and the file that configures them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from nmos_auth import ConfigurationError
from nmos_auth.authority import Client, Permissions, read_clients
from nmos_auth.authority.adapters import RegisteredClient

SECRET = "a-secret-that-nobody-may-see"

GOOD = f"""
[[client]]
client_id = "controller-of-studio-1"
client_secret = "{SECRET}"
client_name = "Studio 1"
audience = ["*.studio-1.example.com", "https://registry.example.com"]
scopes = ["node", "connection", "registration"]
default_scopes = ["node"]
client_credentials_scopes = ["connection"]

[client.permissions.connection]
read = ["*"]
write = ["single/senders/*"]

[[client]]
client_id = "node-of-studio-1-0001"
client_secret = "{SECRET}"
audience = ["*"]
scopes = ["registration", "query"]
"""


def read(tmp_path: Path, text: str | bytes) -> tuple[Client, ...]:
    """Read a clients file with this content."""
    path = tmp_path / "clients.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_clients(path)


def message_for(tmp_path: Path, text: str | bytes) -> str:
    """Return the message that a wrong clients file meets."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    return str(caught.value)


def test_a_file_says_all_about_its_clients(tmp_path: Path) -> None:
    """Every field arrives, and what is left out has its default."""
    controller, node = read(tmp_path, GOOD)
    assert controller == Client(
        client_id="controller-of-studio-1",
        client_secret=SecretStr(SECRET),
        client_name="Studio 1",
        audience=("*.studio-1.example.com", "https://registry.example.com"),
        scopes=("node", "connection", "registration"),
        default_scopes=("node",),
        client_credentials_scopes=("connection",),
        permissions={"connection": Permissions(read=("*",), write=("single/senders/*",))},
    )
    assert controller.machine_scopes == {"connection"}
    assert (node.client_name, node.default_scopes, node.permissions) == ("", (), {})
    assert node.machine_scopes == {"registration"}


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        ('"controller-of-studio-1"', '"short"', "client_id: must be at least 20 printable"),
        ('"controller-of-studio-1"', '"controller-of-stüdio-1"', "client_id: must be at least"),
        ('"controller-of-studio-1"', "12345678901234567890", "client_id: must be a string"),
        (f'"{SECRET}"', '"tiny"', "client_secret: must be at least 16 printable"),
        (f'"{SECRET}"', f'"{SECRET}\\n"', "client_secret: must be"),
        (f'client_secret = "{SECRET}"', "", "client_secret: it is missing"),
        ("client_secret", "client_secrets", "client_secret: it is missing"),
        ("client_name", "clientname", "clientname: this field does not exist"),
        ('"*.studio-1.example.com"', '"node.example.com:80"', "audience.0: must be a host name"),
        ('"*.studio-1.example.com"', '"https://a.example.com/x"', "audience.0: must be a host"),
        (
            '["*.studio-1.example.com", "https://registry.example.com"]',
            "[]",
            "audience: must not be empty",
        ),
        (
            '["*.studio-1.example.com", "https://registry.example.com"]',
            '"*"',
            "audience: must be an array",
        ),
        ('scopes = ["node", "connection", "registration"]', "scopes = []", "scopes: "),
        ('scopes = ["node",', 'scopes = ["No de",', "scopes.0: must be the name of an NMOS API"),
        (
            'default_scopes = ["node"]',
            'default_scopes = ["query"]',
            "default_scopes: must only name",
        ),
        (
            'client_credentials_scopes = ["connection"]',
            'client_credentials_scopes = ["events"]',
            "client_credentials_scopes: must only name scopes that are in scopes",
        ),
        ("permissions.connection", "permissions.query", "permissions: must only name"),
        ('read = ["*"]', 'reed = ["*"]', "permissions.connection.reed: this field"),
        ('read = ["*"]', 'read = "*"', "permissions.connection.read: must be an array"),
        ('["single/senders/*"]', '["/single/*"]', "permissions.connection.write.0: must not begin"),
        (
            '["single/senders/*"]',
            '[""]',
            "permissions.connection.write.0: must be ASCII, and not empty",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_client_and_file(
    tmp_path: Path, found: str, replacement: str, message: str
) -> None:
    """The message is one line: file, client, field, problem. It shows no secret."""
    assert found in GOOD
    text = message_for(tmp_path, GOOD.replace(found, replacement, 1))
    assert text.startswith(f"{tmp_path / 'clients.toml'}: client 1")
    assert message in text
    assert "\n" not in text
    assert SECRET not in text
    assert "tiny" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "client: it is missing"),
        ("client = []", "client: must not be empty"),
        ("client = 3", "client: must be an array"),
        ("client = [3]", "client 1: must be a table"),
        ("[[clients]]", "client: it is missing"),
        ("[[client", "not TOML: "),
        (b"\xff\xfe", "not TOML: "),
        (GOOD.replace("node-of-studio-1-0001", "controller-of-studio-1"), "another client has it"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    """Whatever is wrong, the message is one line that begins with the file."""
    text = message_for(tmp_path, content)
    assert text.startswith(f"{tmp_path / 'clients.toml'}: ")
    assert message in text
    assert "\n" not in text
    assert SECRET not in text


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file that is not there, or is a directory, is said to be that."""
    with pytest.raises(ConfigurationError, match=r"nothing\.toml: No such file"):
        read_clients(tmp_path / "nothing.toml")
    with pytest.raises(ConfigurationError, match="is a directory"):
        read_clients(tmp_path)


def test_a_secret_is_compared_and_not_shown() -> None:
    """No text form of a client has its secret, nor has the error for a wrong one."""
    client = Client.throwaway()
    secret = client.client_secret.get_secret_value()
    registered = RegisteredClient.of_configured(client)
    assert registered.check_client_secret(secret)
    for other in ("", secret[:-1], f"{secret} ", secret.upper(), "\ud800"):
        assert not registered.check_client_secret(other)
    assert secret not in f"{client!r} {client} {client.model_dump_json()}"
    with pytest.raises(ValidationError) as caught:
        Client.model_validate({"client_id": "x", "client_secret": SECRET[:9], "scopes": SECRET})
    assert SECRET[:9] not in f"{caught.value} {caught.value!r}"


def test_a_throwaway_client_differs_each_time() -> None:
    """Ids and secrets are random, and long enough."""
    one, other = Client.throwaway(), Client.throwaway()
    assert one.client_id != other.client_id
    assert len(one.client_id) >= 20
    assert one.client_secret != other.client_secret
    assert one.machine_scopes == set(one.scopes)
