"""The keys file: what a restart without any server lives on."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from nmos_auth.errors import ConfigurationError
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile
from tests.support.authority import METADATA, FakeAuthorizationServer, answer_json
from tests.support.other_users import STRANGER, as_root
from tests.support.scene import MakeSettings, foreign_token, protected
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key
from tests.support.virtual_time import Documents

ISSUER = "https://auth.example.com"
OTHER = "https://other.example.com/path"


def keys(*numbers: int) -> KeptIssuer:
    """Return keys as a server would publish them, and as they are kept."""
    key_set = parse_jwks({"keys": [signing_key(number).jwk() for number in numbers]})
    return KeptIssuer(key_set.keys, 1_700_000_000.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is to be, in a directory of its own."""
    directory = tmp_path / "state"
    directory.mkdir()
    return directory / "keys.json"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_what_is_saved_is_loaded(path: Path) -> None:
    """Keys by issuer, with the names the server gave them, in its order, and who named it."""
    named = KeptIssuer(keys(2).keys, 1_700_000_000.5, (f"{OTHER}/place", ISSUER))
    saved = {ISSUER: keys(0, 1), OTHER: named}
    KeysFile(path).save(saved)
    loaded = KeysFile(path).load()
    assert loaded == saved
    assert [key.kid for key in loaded[ISSUER].keys] == ["key-0", "key-1"]


def test_a_file_that_is_not_there_yet_is_no_news(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first start of all is without one."""
    assert KeysFile(path).load() == {}
    assert warnings_of(caplog) == []


def test_it_is_its_owners_alone(path: Path) -> None:
    """Whatever the umask, and whatever stood there before."""
    old = os.umask(0)
    try:
        KeysFile(path).save({ISSUER: keys(0)})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o666)
        KeysFile(path).save({ISSUER: keys(0)})
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_public_numbers_are_kept(path: Path) -> None:
    """A server's slip is not made to last: no member of a private key reaches the disk."""
    KeysFile(path).save({ISSUER: keys(0)})
    (entry,) = json.loads(path.read_text())["issuers"][ISSUER]["keys"]
    assert set(entry) <= {"kty", "n", "e", "kid", "use", "alg"}


DAMAGED = {
    "empty": b"",
    "issuers a list": b'{"issuers": []}',
    "issuers a string": b'{"issuers": "x"}',
    "no key set": json.dumps({"issuers": {ISSUER: []}}).encode(),
    "keys no list": json.dumps({"issuers": {ISSUER: {"keys": {}}}}).encode(),
    "noughts": bytes(4096),
    "confirmed a string": json.dumps(
        {"version": 1, "issuers": {ISSUER: {"keys": [], "confirmed": "now"}}}
    ).encode(),
    "places a string": json.dumps(
        {"version": 1, "issuers": {ISSUER: {"keys": [], "named_at": ISSUER}}}
    ).encode(),
    "place a number": json.dumps(
        {"version": 1, "issuers": {ISSUER: {"keys": [], "named_at": [1]}}}
    ).encode(),
    "NaN": b'{"issuers": NaN}',
    "nested": b'{"issuers":' * 5000 + b"{}" + b"}" * 5000,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_ignored_with_a_warning(
    name: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not stop the start, and the warning names the setting and the file."""
    path.write_bytes(DAMAGED[name])
    path.chmod(0o600)
    assert not any(KeysFile(path).load().values())
    (warning,) = warnings_of(caplog)
    assert "NMOS_AUTH_KEYS_FILE" in warning
    assert str(path) in warning


FOREIGN = {
    "hosts": b"127.0.0.1 localhost\n",
    "variables": b"NMOS_AUTH_AUDIENCE=node.example.com\n",
    "null": b"null",
    "list": b"[]",
    "another object": b'{"name": "a-package", "version": 1}',
    "a store": b'{"version": 1, "records": {}}',
    "no version": b'{"version": [], "issuers": {}}',
    "not JSON": b"issuers: []\n",
    "binary": bytes(range(256)) * 16,
    "UTF-16": '{"issuers": {}}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_program_stops_the_start(name: str, path: Path) -> None:
    """The first keys that are fetched would replace it; the message says what to do."""
    path.write_bytes(FOREIGN[name])
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_KEYS_FILE: ") as caught:
        KeysFile(path).load()
    assert str(path) in str(caught.value)
    assert "name a file that does not exist yet" in str(caught.value)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (FOREIGN[name], 0o644)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_half_a_file_is_ignored_with_a_warning(
    share: float, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that was cut short, as by a full disk, gives no keys and one line in the log."""
    KeysFile(path).save({ISSUER: keys(0, 1, 2)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert KeysFile(path).load() == {}
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("mode", [0o602, 0o622, 0o666, 0o777])
def test_a_file_that_others_could_write_is_emptied_with_a_warning(
    mode: int, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever writes keys there decides who may do what on this Node. Nor does a restart count."""
    KeysFile(path).save({ISSUER: keys(0)})
    path.chmod(mode)
    assert KeysFile(path).load() == {}
    (warning,) = warnings_of(caplog)
    assert "NMOS_AUTH_KEYS_FILE" in warning
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeysFile(path).load() == {}
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o604, 0o644])
def test_a_file_that_others_could_read_is_closed_and_believed(mode: int, path: Path) -> None:
    """The keys in it are public, and those that others can read they cannot change."""
    KeysFile(path).save({ISSUER: keys(0)})
    path.chmod(mode)
    assert KeysFile(path).load() == {ISSUER: keys(0)}
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def _chown(path: Path) -> None:
    os.chown(path, STRANGER, STRANGER)


def _link(path: Path) -> None:
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "plant",
    [pytest.param(_chown, marks=as_root), pytest.param(_link, marks=as_root), _pipe, _directory],
)
def test_a_file_that_may_not_be_used_stops_the_start(
    plant: Callable[[Path], None], path: Path
) -> None:
    """Another user's, a link that another user made, a pipe: named by the setting, and at once."""
    KeysFile(path).save({ISSUER: keys(0)})
    plant(path)
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_KEYS_FILE: ") as caught:
        KeysFile(path).load()
    assert str(path) in str(caught.value)


def test_a_bad_key_in_it_spoils_no_other(path: Path) -> None:
    """It is read as a server's key set is."""
    good, small = signing_key(0).jwk(), signing_key(1).jwk(n="AQAB")
    path.write_text(json.dumps({"issuers": {ISSUER: {"keys": [small, good]}}}))
    path.chmod(0o600)
    assert KeysFile(path).load()[ISSUER].keys == keys(0).keys


def test_a_file_without_a_version_has_keys_and_no_times(path: Path) -> None:
    """An update does not lose what was kept; nobody knows when its neighbours were confirmed."""
    content = {"issuers": {ISSUER: {"keys": [signing_key(0).jwk()]}}}
    for version in ({}, {"version": 0}):
        path.write_text(json.dumps(content | version))
        path.chmod(0o600)
        assert KeysFile(path).load() == {ISSUER: KeptIssuer(keys(0).keys, 0)}


def test_a_file_has_a_version(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that this software cannot read is ignored, with a warning that says why."""
    KeysFile(path).save({ISSUER: keys(0)})
    document = json.loads(path.read_text())
    assert document["version"] == 1
    path.write_text(json.dumps(document | {"version": 2}))
    assert KeysFile(path).load() == {}
    (warning,) = warnings_of(caplog)
    assert "version" in warning


def test_it_is_replaced_whole(path: Path) -> None:
    """Whoever reads while it is written finds the old content or the new one."""
    contents = [{ISSUER: keys(0)}, {ISSUER: keys(1, 2), OTHER: keys(0, 1, 2)}]
    KeysFile(path).save(contents[0])
    written = threading.Event()

    def write() -> None:
        for turn in range(60):
            KeysFile(path).save(contents[turn % 2])
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not written.is_set():
        assert KeysFile(path).load() in contents
    writer.join()
    assert list(path.parent.iterdir()) == [path]


def _save_for_ever(path: Path) -> None:
    while True:
        KeysFile(path).save({ISSUER: keys(1, 2), OTHER: keys(0, 1, 2)})


def test_a_process_that_is_killed_while_writing_leaves_a_good_file(path: Path) -> None:
    """At whatever moment: the old content stands until the new one is complete."""
    contents = [{ISSUER: keys(0)}, {ISSUER: keys(1, 2), OTHER: keys(0, 1, 2)}]
    KeysFile(path).save(contents[0])
    spawn = multiprocessing.get_context("fork")
    for turn in range(10):
        process = spawn.Process(target=_save_for_ever, args=(path,))
        process.start()
        process.join(0.002 * turn)
        process.kill()
        process.join()
        process.close()
        assert KeysFile(path).load() in contents


def test_a_failure_to_write_is_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The keys in memory are what counts."""
    path.mkdir()
    assert not KeysFile(path).save({ISSUER: keys(0)})
    path.rmdir()
    path.parent.rmdir()
    assert not KeysFile(path).save({ISSUER: keys(0)})
    refused, missing = warnings_of(caplog)
    said = f"NMOS_AUTH_KEYS_FILE: {path} cannot be written: "
    assert missing == f"{said}No such file or directory"
    assert refused.startswith(said)
    assert "None" not in refused


@as_root
def test_nothing_is_written_by_a_link_of_another_user(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said why, as for any other failure."""
    link = path.parent.with_name("link")
    link.symlink_to(path.parent)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert not KeysFile(link / path.name).save({ISSUER: keys(0)})
    assert not path.exists()
    (warning,) = warnings_of(caplog)
    assert f"leads through the link {link}, which belongs to user {STRANGER}" in warning


def test_a_planted_file_that_cannot_be_emptied_stops_the_start(path: Path) -> None:
    """The next restart would find it again."""
    KeysFile(path).save({ISSUER: keys(0)})
    path.chmod(0o666)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))  # a full disk
    try:
        with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_KEYS_FILE: "):
            KeysFile(path).load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)


# With servers


def test_a_restart_without_a_server_works(
    path: Path, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """Known keys verify from the first request on; unknown ones are refused, and soon found."""
    server = FakeAuthorizationServer([signing_key(0)])
    with server.running(tls):
        settings = make_settings(server, keys_file=path)
        with protected(settings) as node:
            node.until(server.token)
    with protected(settings) as node:
        assert node.status(server.token()) == 200
        assert node.status(foreign_token(server)) in {401, 503}
        server.keys.insert(0, signing_key(1))
        with server.running(tls):
            node.until(server.token)
    with protected(settings) as node:
        assert node.status(server.token()) == 200
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_restart_without_the_server_that_names_the_issuer_works(
    path: Path, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """As behind a proxy in front of Keycloak, whose root has the metadata of a realm."""
    server = FakeAuthorizationServer([signing_key(0)], path="/realm")

    async def at_the_root(_scope: Scope, _receive: Receive, send: Send) -> None:
        await answer_json(send, server.metadata())

    server.responders[METADATA] = at_the_root
    with server.running(tls):
        settings = make_settings(servers=server.issuer.removesuffix(server.path), keys_file=path)
        with protected(settings) as node:
            node.until(server.token)
    for _ in range(2):
        with protected(settings) as node:
            assert node.status(server.token()) == 200
            assert node.status(foreign_token(server)) in {401, 503}


def test_a_withdrawn_key_is_withdrawn_from_the_file(
    path: Path, tls: TestAuthority, quick_settings: MakeSettings
) -> None:
    """A restart does not bring back what the server took away."""
    server = FakeAuthorizationServer([signing_key(0), signing_key(1)])
    with server.running(tls):
        settings = quick_settings(server, keys_file=path)
        gone, kept = server.token(), signing_key(1).sign(claims_of(server.issuer))
        with protected(settings) as node:
            node.until(lambda: gone)
            del server.keys[0]
            node.until(lambda: gone, 401)
    with protected(settings) as node:
        assert node.status(kept) == 200
        assert node.status(gone) in {401, 503}


def test_keys_of_issuers_that_are_trusted_no_more_do_not_count(
    path: Path, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """The file says what keys an issuer has, and never whom to trust."""
    server, other = FakeAuthorizationServer([signing_key(0)]), FakeAuthorizationServer([])
    other.host = "127.0.0.1"
    with other.running(tls), server.running(tls):
        KeysFile(path).save({server.issuer: keys(0), ISSUER: keys(1)})
        with protected(make_settings(other, keys_file=path)) as node:
            assert node.status(server.token()) == 401
            assert node.status(signing_key(1).sign(claims_of(ISSUER))) == 401
    assert server.requests == []


def test_a_damaged_file_is_mended(
    path: Path, tls: TestAuthority, make_settings: MakeSettings
) -> None:
    """The next good fetch writes it."""
    server = FakeAuthorizationServer([signing_key(0)])
    path.write_bytes(b"\0" * 100)
    path.chmod(0o600)
    with server.running(tls):
        settings = make_settings(server, keys_file=path)
        with protected(settings) as node:
            node.until(server.token)
    with protected(settings) as node:
        assert node.status(server.token()) == 200


def test_a_directory_that_is_gone_harms_no_request(
    path: Path,
    tls: TestAuthority,
    quick_settings: MakeSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At run time it is worth a warning; once it is back, the keys are kept after all."""
    server = FakeAuthorizationServer([signing_key(0)])
    with server.running(tls):
        settings = quick_settings(server, keys_file=path)
        path.parent.rmdir()
        with protected(settings) as node:
            node.until(server.token)
            server.wait_for_requests(server.count() + 4)
            assert node.status(server.token()) == 200
            assert any("NMOS_AUTH_KEYS_FILE" in each for each in warnings_of(caplog))
            path.parent.mkdir()
            server.wait_for_requests(server.count() + 6)
    with protected(settings) as node:
        assert node.status(server.token()) == 200


CONFIGURED = f"{ISSUER}/tenants/a"
PLACE = f"{ISSUER}/.well-known/oauth-authorization-server/tenants/a"
HOSTILE: list[object] = [
    *(None, True, 0, -1e308, 1e308, 10**400, "", "\x00", "\ud800", [], {}, [[]], [1], [PLACE, 1]),
    *(OTHER, PLACE, [PLACE], [PLACE, PLACE], f"{ISSUER}/..", "https://[::1", "https://a:99999/"),
    {"keys": []},
]
NAMES = [
    *(CONFIGURED, OTHER, f"{ISSUER}/tenants/b", f"{ISSUER}:8443/tenants/a", f"{ISSUER}:8443"),
    *("", PLACE, f"{ISSUER}/..", "https://[::1", "http://auth.example.com/tenants/b", "x" * 5000),
]
# In the file, the text KEYS is a key set.
MEMBERS = st.sampled_from([*HOSTILE, "KEYS", 1_800_000_000])
ENTRIES = st.fixed_dictionaries(
    {"keys": st.just("KEYS") | MEMBERS},
    optional={"confirmed": st.just(1_800_000_000) | MEMBERS, "named_at": MEMBERS},
)
ENTRY = ENTRIES | st.sampled_from(HOSTILE)


@given(st.dictionaries(st.sampled_from(NAMES), ENTRY, max_size=4))
@example({f"{ISSUER}/tenants/b": {"keys": "KEYS", "named_at": [PLACE]}})
@example({OTHER: {"keys": "KEYS", "named_at": [PLACE]}})
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_it_no_other_origin_is_believed(
    path: Path, make_settings: MakeSettings, issuers: dict[str, object]
) -> None:
    """A file may say which issuer of its origin a place named, and nothing about other hosts."""
    key_set = json.dumps([signing_key(0).jwk()])
    document = json.dumps({"version": 1, "issuers": issuers})
    path.write_text(document.replace('"KEYS"', key_set))
    path.chmod(0o600)
    trusting = make_settings(servers=CONFIGURED)
    keys = KeyStore(trusting, Documents, kept=KeysFile(path), clock=lambda: 1_800_000_000.0)
    believed = {each.url for each in keys.status().issuers}
    assert CONFIGURED in believed
    assert believed <= {*NAMES[:1], f"{ISSUER}/tenants/b", f"{ISSUER}:8443/tenants/a", PLACE}
    assert not keys.candidates(OTHER, None)
