"""The rest of the file that configures a server: users, registration, permissions."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nmos_auth import ConfigurationError
from nmos_auth.authority import (
    DEFAULT_PERMISSIONS,
    AuthorityFile,
    AuthoritySettings,
    Client,
    Permissions,
    User,
    hash_password,
    new_signing_key,
    read_authority_file,
)
from nmos_auth.authority.users import PasswordChecker
from tests.authority.flows import public_jwks

PASSWORD = "a password nobody may see"

GOOD = f"""
[[client]]
client_id = "browser-controller-0001"
token_endpoint_auth_method = "none"
redirect_uris = ["https://controller.example.com/callback"]
audience = ["*"]
scopes = ["connection"]

[[client]]
client_id = "node-with-keys-000000001"
token_endpoint_auth_method = "private_key_jwt"
jwks_uri = "https://node.example.com/jwks"
audience = ["*"]
scopes = ["registration"]

[[user]]
name = "operator"
password = "{PASSWORD}"

[registration]
open = false
initial_access_tokens = ["an-initial-access-token"]
audience = ["*.example.com"]
client_credentials_scopes = ["connection"]

[permissions.connection]
read = ["*"]
"""


def read(tmp_path: Path, text: str) -> AuthorityFile:
    """Read a file with this content."""
    path = tmp_path / "authority.toml"
    path.write_text(text)
    return read_authority_file(path)


def test_a_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    """Clients of every kind, users, and what registered clients get."""
    file = read(tmp_path, GOOD)
    public, signer = file.clients
    assert public.is_public
    assert public.grant_types == {"authorization_code", "refresh_token"}
    assert signer.grant_types == {"client_credentials"}
    assert [user.name for user in file.users] == ["operator"]
    assert file.registration.open is False
    assert file.registration.permissions == {"connection": Permissions(read=("*",))}
    assert file.registration.machine_scopes == {"connection"}
    assert PASSWORD not in repr(file)
    assert "an-initial-access-token" not in repr(file)


def test_nothing_has_to_be_said(tmp_path: Path) -> None:
    """An empty file has neither clients nor users, and the permissions that fit everybody."""
    file = read(tmp_path, "")
    assert (file.clients, file.users) == ((), ())
    assert file.registration.open
    assert not file.registration.open_client_credentials
    assert file.registration.permissions == DEFAULT_PERMISSIONS
    with pytest.raises(ConfigurationError, match="without one, no token can be issued"):
        AuthoritySettings(issuer="https://auth.example.com", clients=file.clients)


@pytest.mark.parametrize(
    ("found", "replacement", "message"),
    [
        ('name = "operator"', 'name = ""', "user 1 (): name: must be 1 to 64"),
        (f'"{PASSWORD}"', '"short"', "user 1 (operator): a password must have at least 8"),
        ("password =", "password_hash =", "user 1 (operator): password_hash: must be what hash"),
        ("password =", "passwort =", "password_hash: it is missing; set password, or password_h"),
        ('["an-initial-access-token"]', '["short"]', "initial_access_tokens.0: must be at least"),
        ('["*.example.com"]', '["node.example.com:80"]', "registration.audience.0: must be a host"),
        ('client_credentials_scopes = ["connection"]', 'client_credentials_scopes = ["x"]', "must"),
        ("[permissions.connection]", "[permissions.Connection]", "must be the name of an NMOS API"),
        ('token_endpoint_auth_method = "none"', "", "client 1 (browser-controller-0001): client_"),
        ('"none"\n', '"none"\nclient_secret = "x"\n', "client_secret: must be absent"),
        ("jwks_uri =", "redirect_uris = []\n# ", "jwks: private_key_jwt requires either jwks or"),
        ("https://controller", "http://controller", "redirect_uris.0: must be https"),
        ("[registration]\nopen", "[registration]\nopened", "registration.opened: this field"),
        ("[[user]]", '[[user]]\nname = "operator"\npassword = "another one"\n[[user]]', "user 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, found: str, replacement: str, message: str) -> None:
    """One line: the file, the table, the field; no password or token."""
    assert found in GOOD
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, GOOD.replace(found, replacement, 1))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'authority.toml'}: ")
    assert message in text
    assert "\n" not in text
    assert PASSWORD not in text


def test_a_client_has_one_kind_of_key() -> None:
    """`jwks` or `jwks_uri`, and keys that verify RS512."""
    fields: dict[str, object] = {
        "client_id": "node-with-keys-000000001",
        "token_endpoint_auth_method": "private_key_jwt",
        "audience": ["*"],
        "scopes": ["registration"],
    }
    jwks = public_jwks(new_signing_key())
    assert Client.model_validate({**fields, "jwks": jwks}).signs_assertions
    nothing: dict[str, object] = {}
    both: dict[str, object] = {"jwks": jwks, "jwks_uri": "https://a.example.com"}
    empty: dict[str, object] = {"jwks": {"keys": []}}
    for wrong in (both, empty, nothing):
        with pytest.raises(ValidationError):
            Client.model_validate({**fields, **wrong})


def test_passwords_are_hashed_with_salt() -> None:
    """Two hashes of one password differ, both verify, and neither shows it."""
    hashes = [hash_password(PASSWORD) for _ in range(2)]
    assert hashes[0] != hashes[1]
    for text in hashes:
        user = User.model_validate({"name": "operator", "password_hash": text})
        checker = PasswordChecker({"operator": user}.get)
        assert checker.check("operator", PASSWORD) is user
        assert checker.check("operator", PASSWORD + " ") is None
        assert checker.check("nobody", PASSWORD) is None
        assert text not in repr(user)
        assert PASSWORD not in text
