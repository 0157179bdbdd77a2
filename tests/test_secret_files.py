"""Settings that name a file with a secret: it is closed to other users, unless it is another."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from nmos_auth.authority.configuration import read_authority_file
from nmos_auth.authority.database import Database
from nmos_auth.client.store.encryption import load_key_file
from nmos_auth.client.store.stores import FileStore
from nmos_auth.errors import NmosAuthError
from nmos_auth.servers.certificates import CertificateError, TlsFiles, tls_context
from nmos_auth.servers.private_files import PrivateFile
from nmos_auth.settings.environment import ENV_FILE, effective_environment
from nmos_auth.trust.keys_file import KeysFile

KEY = Fernet.generate_key()


def read_env_file(path: Path) -> None:
    """Read the variables of a file that the environment names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV_FILE, str(path))
        effective_environment()


READERS: dict[str, Callable[[Path], object]] = {
    "ENV_FILE": read_env_file,
    "--clients": read_authority_file,
    "CLIENT_CERTIFICATE": lambda path: tls_context(TlsFiles(certificate=path)),
    "CLIENT_STORE": lambda path: FileStore(path, SecretStr(KEY.decode())),
    "the store's key": lambda path: load_key_file(PrivateFile(path, setting="", secret=True)),
    "the database": Database,
    "KEYS_FILE": lambda path: KeysFile(path).load(),
}


@pytest.mark.parametrize("setting", READERS)
@pytest.mark.parametrize(
    "content", ["root:x:0:0::/:\n", "PATH=/bin\n", "{}"], ids=["users", "variables", "json"]
)
def test_a_file_of_another_program_stays_as_it_is(
    tmp_path: Path, setting: str, content: str
) -> None:
    """A wrong path in a setting, such as /etc/passwd, takes nothing from other users."""
    path = tmp_path / "file"
    path.write_text(content)
    path.chmod(0o644)
    with contextlib.suppress(NmosAuthError, CertificateError):
        READERS[setting](path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


OWN = {
    "ENV_FILE": b"NMOS_AUTH_SERVERS=https://as.example.com\n",
    "--clients": b'[[user]]\nname = "operator"\npassword = "very secret, and long"\n',
    "CLIENT_STORE": b'{"version": 1, "records": {}}',
    "the store's key": KEY,
    "KEYS_FILE": b'{"issuers": {}}',
}


@pytest.mark.parametrize("setting", OWN)
def test_its_own_file_is_closed(tmp_path: Path, setting: str) -> None:
    """Once its content is what the setting names."""
    path = tmp_path / "file"
    path.write_bytes(OWN[setting])
    path.chmod(0o644)
    READERS[setting](path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
