"""What outlives a restart, and how it is kept."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path

import pytest

from nmos_auth import ConfigurationError
from nmos_auth.authority import AuthoritySettings, User, create_authority
from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database
from tests.authority.flows import (
    SIGNER,
    SIGNER_KEY,
    Browser,
    Pkce,
    Registered,
    assertion,
    browsing,
    register,
)
from tests.authority.support import NODE, USER, Served, cached_keys, served


def moved(client: Registered, server: Served) -> Registered:
    """Return a client that speaks to the server's next run."""
    return Registered(server, client.document)


def test_a_restart_changes_nothing_for_clients(tmp_path: Path) -> None:
    """Registrations, refresh tokens, used codes, sessions and signing keys are those of before."""
    database = tmp_path / "authority.db"
    pkce = Pkce()
    with served(database=database) as server, browsing(server) as browser:
        port = int(server.issuer.rpartition(":")[2])
        client = register(server, token_endpoint_auth_method="none")
        confidential = register(server)
        code = browser.code(client.request(**pkce.query))
        tokens = client.exchange(code, pkce.verifier).json()
        other = confidential.exchange(browser.code(confidential.request())).json()
        used = client.refresh(tokens["refresh_token"]).json()
        server.authority.keys.rotate()
        kids = server.published()
        cookies = dict(browser.http.cookies)
    with served(database=database, on_port=port) as server, browsing(server) as browser:
        assert server.published() == kids
        assert server.verified(tokens["access_token"])["sub"] == USER.name
        browser.http.cookies.update(cookies)
        page = browser.open(client.request(**pkce.query))
        assert "<h1>Authorize a client</h1>" in page.text
        again, confidential_again = moved(client, server), moved(confidential, server)
        assert confidential_again.refresh(other["refresh_token"]).status_code == 200
        read = server.http.get(confidential.uri, headers=confidential.bearer)
        assert read.json() == confidential.document
        # The replay of what was used before the restart is recognised after it.
        assert again.exchange(code, pkce.verifier).json()["error"] == "invalid_grant"
        assert again.refresh(used["refresh_token"]).json()["error"] == "invalid_grant"


def test_an_assertion_is_no_newer_after_a_restart(tmp_path: Path) -> None:
    """Its `jti` is remembered in the database."""
    database = tmp_path / "authority.db"
    statuses = []
    port = 0
    credentials: dict[str, str] = {}
    for _ in range(2):
        with served(database=database, clients=(SIGNER,), on_port=port) as server:
            port = int(server.issuer.rpartition(":")[2])
            credentials = credentials or assertion(SIGNER_KEY, SIGNER.client_id, server.issuer)
            form = {"grant_type": "client_credentials", "scope": "registration", **credentials}
            statuses.append(server.http.post("/token", data=form).status_code)
    assert statuses == [200, 401]


def test_a_withdrawn_key_stays_withdrawn(tmp_path: Path) -> None:
    """A restart brings no compromised key back."""
    database = tmp_path / "authority.db"
    with served(database=database) as server:
        withdrawn = server.authority.keys.current.kid
        server.authority.keys.replace()
        kids = server.published()
    with served(database=database) as server:
        assert server.published() == kids
        assert withdrawn not in kids


def settings(database: Path) -> AuthoritySettings:
    """Return settings with a database."""
    return AuthoritySettings(issuer="https://auth.example.com", clients=(NODE,), database=database)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """So are the files that SQLite makes beside it."""
    database = tmp_path / "authority.db"
    with served(database=database) as server:
        register(server)
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_file_that_others_could_read_is_closed_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning that its signing keys may be known."""
    database = tmp_path / "authority.db"
    with served(database=database):
        pass
    database.chmod(0o644)
    create_authority(settings(database), new_key=cached_keys()).close()
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert "other users could read it" in caplog.text


@pytest.mark.parametrize("suffix", ["", "-wal", "-journal"])
def test_a_file_that_others_could_write_stops_the_start(tmp_path: Path, suffix: str) -> None:
    """The database, or one beside it that SQLite would take up, is not believed."""
    database = tmp_path / "authority.db"
    with served(database=database):
        pass
    planted = database.with_name(database.name + suffix)
    planted.touch()
    planted.chmod(0o666)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="chmod 600"):
            create_authority(settings(database), new_key=cached_keys())
    assert stat.S_IMODE(planted.stat().st_mode) & 0o022 == 0


def test_no_secret_is_in_the_file(tmp_path: Path) -> None:
    """Secrets, codes, tokens and passwords are digests there, or sealed."""
    database = tmp_path / "authority.db"
    with served(database=database) as server, browsing(server) as browser:
        client = register(server)
        code = browser.code(client.request())
        tokens = client.exchange(code).json()
        user, password = User.throwaway("somebody")
        server.authority.keep_user(user)
        hidden = [
            code,
            tokens["refresh_token"],
            tokens["access_token"],
            str(client.document["client_secret"]),
            str(client.document["registration_access_token"]),
            password.get_secret_value(),
            *browser.http.cookies.values(),
        ]
        content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert client.client_id.encode() in content
        assert not [value for value in hidden if value.encode() in content]


def test_users_may_be_kept_in_the_database(tmp_path: Path) -> None:
    """Who was made there logs in after a restart, and with the newest password alone."""
    database = tmp_path / "authority.db"
    user, password = User.throwaway("somebody")
    with served(database=database) as server:
        server.authority.keep_user(user)
    with served(database=database) as server, browsing(server) as browser:
        client = register(server)
        assert logged_in(browser, client, "somebody", password.get_secret_value())
        newer, newer_password = User.throwaway("somebody")
        server.authority.keep_user(newer)
    with served(database=database) as server, browsing(server) as browser:
        client = moved(client, server)
        assert not logged_in(browser, client, "somebody", password.get_secret_value())
        assert logged_in(browser, client, "somebody", newer_password.get_secret_value())


def logged_in(browser: Browser, client: Registered, name: str, password: str) -> bool:
    """Try to log in."""
    page = browser.submit(browser.open(client.request()), "login", username=name, password=password)
    return "<h1>Authorize a client</h1>" in page.text


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """No SQLite database, another program's, a directory, nowhere: one line that names the file."""
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to look at" * 100)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    for path in (text, other):
        path.chmod(0o600)
    former = text.read_bytes()
    for path in (text, other, tmp_path, tmp_path / "nowhere" / "authority.db"):
        with pytest.raises(ConfigurationError) as caught:
            create_authority(settings(path), new_key=cached_keys())
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
    assert text.read_bytes() == former


def test_two_servers_on_one_database_are_refused(tmp_path: Path) -> None:
    """Each would sign with keys that the other does not publish; the first goes on undisturbed."""
    path = tmp_path / "authority.db"
    with served(database=path) as server:
        with pytest.raises(ConfigurationError, match="another server uses this database"):
            create_authority(settings(path), new_key=cached_keys())
        register(server)
    create_authority(settings(path), new_key=cached_keys()).close()


def test_a_database_of_the_former_version_serves_on(tmp_path: Path) -> None:
    """Registrations and logins are kept; refresh tokens used before the update stay used."""
    path = tmp_path / "authority.db"
    path.touch(0o600)
    with sqlite3.connect(path) as connection:
        for statement in VERSION_1.split(";"):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO authorization (client_id, user, scope, expires_at) VALUES (?, ?, ?, ?)",
            (NODE.client_id, USER.name, "registration", time.time() + 1000),
        )
        for token, used in (("used", 1), ("fresh", 0)):
            connection.execute(
                "INSERT INTO refresh_token (digest, authorization, used) VALUES (?, 1, ?)",
                (secret_digest(token), used),
            )
    connection.close()
    client = NODE.model_copy(update={"redirect_uris": ("https://controller.example.com/cb",)})
    with served(database=path, clients=(client,)) as server:
        form = {"grant_type": "refresh_token", "refresh_token": "fresh"}
        answer = server.http.post("/token", data=form, auth=server.basic(NODE))
        assert answer.status_code == 200, answer.text
        form["refresh_token"] = "used"
        answer = server.http.post("/token", data=form, auth=server.basic(NODE))
        assert answer.json()["error"] == "invalid_grant"
        register(server)


VERSION_1 = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE user (name TEXT PRIMARY KEY, password_hash TEXT NOT NULL) STRICT;
CREATE TABLE client (client_id TEXT PRIMARY KEY, metadata TEXT NOT NULL, secret_digest BLOB,
    sealed_secret BLOB, token_digest BLOB NOT NULL, trusted INTEGER NOT NULL,
    issued_at INTEGER NOT NULL) STRICT;
CREATE TABLE authorization (id INTEGER PRIMARY KEY, client_id TEXT NOT NULL, user TEXT NOT NULL,
    scope TEXT NOT NULL, expires_at REAL NOT NULL, revoked INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX authorization_client ON authorization (client_id);
CREATE TABLE code (digest BLOB PRIMARY KEY,
    authorization INTEGER NOT NULL REFERENCES authorization (id) ON DELETE CASCADE,
    redirect_uri TEXT, code_challenge TEXT, code_challenge_method TEXT, expires_at REAL NOT NULL,
    used INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX code_authorization ON code (authorization);
CREATE TABLE refresh_token (digest BLOB PRIMARY KEY,
    authorization INTEGER NOT NULL REFERENCES authorization (id) ON DELETE CASCADE,
    used INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX refresh_token_authorization ON refresh_token (authorization);
CREATE TABLE assertion (digest BLOB PRIMARY KEY, expires_at REAL NOT NULL) STRICT;
CREATE INDEX assertion_expiry ON assertion (expires_at);
CREATE TABLE session (digest BLOB PRIMARY KEY, csrf TEXT NOT NULL, user TEXT,
    expires_at REAL NOT NULL) STRICT;
CREATE INDEX session_expiry ON session (expires_at);
PRAGMA user_version = 1
"""


def test_keys_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    """Nothing is overwritten that might be repaired."""
    path = tmp_path / "authority.db"
    database = Database(path)
    database.set_setting("signing_keys", "{}")
    database.close()
    with pytest.raises(ConfigurationError, match="signing keys"):
        create_authority(settings(path), new_key=cached_keys())


def test_a_failed_transaction_changes_nothing() -> None:
    """All of it or nothing."""
    database = Database(None)

    def fail_half_way() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO setting (name, value) VALUES ('a', 'b')")
            raise LookupError

    with pytest.raises(LookupError):
        fail_half_way()
    assert database.setting("a") is None
    database.close()
