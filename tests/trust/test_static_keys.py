"""Keys of issuers that are never asked, from a file."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from nmos_auth import Settings
from nmos_auth.errors import ConfigurationError
from nmos_auth.servers.private_files import FileRefused
from nmos_auth.trust.keys_file import KeptIssuer, KeysFile
from nmos_auth.trust.static_keys import read_static_keys
from tests.support.scene import protected
from tests.support.tokens import SigningKey, claims_of, signing_key

ISSUER = "https://auth.example.com"
OTHER = "https://other.example.com/nmos"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / "static.json"


def write(path: Path, issuers: object, mode: int = 0o644) -> Path:
    """Write a file of key sets by issuer."""
    path.write_text(json.dumps({"issuers": issuers}))
    path.chmod(mode)
    return path


def key_set(*keys: SigningKey, **changes: object) -> dict[str, object]:
    """Return a key set."""
    return {"keys": [{**key.jwk(), **changes} for key in keys]}


def test_its_issuers_are_trusted_and_never_asked(path: Path) -> None:
    """Their keys verify from the first request on, and what they do not verify is final at once."""
    write(path, {ISSUER: key_set(signing_key(0)), OTHER: key_set(signing_key(1))})
    settings = Settings(
        audience="node1.example.com", discovery="off", static_keys_file=path, audit_log="off"
    )
    with protected(settings) as node:
        assert node.status(signing_key(0).sign(claims_of(ISSUER))) == 200
        # Servers host each other's keys.
        assert node.status(signing_key(1).sign(claims_of(ISSUER))) == 200
        assert node.status(signing_key(2).sign(claims_of(ISSUER))) == 401
        assert node.status(signing_key(0).sign(claims_of("https://x.example.com"))) == 401


def test_the_audit_log_says_where_the_keys_are(path: Path, tmp_path: Path) -> None:
    """And whose they are."""
    write(path, {ISSUER: key_set(signing_key(0))})
    log = tmp_path / "audit.log"
    settings = Settings(
        audience="node1.example.com", discovery="off", static_keys_file=path, audit_log=str(log)
    )
    with protected(settings) as node:
        node.status(signing_key(2).sign(claims_of(ISSUER)))
        node.status(signing_key(0).sign(claims_of(OTHER)))
    signature, issuer = (json.loads(line) for line in log.read_text().splitlines())
    assert signature["reason"] == "signature"
    assert "NMOS_AUTH_STATIC_KEYS_FILE" in signature["detail"]
    assert "'key-2'" in signature["detail"]
    assert "'key-0'" in signature["detail"]
    assert issuer["detail"] == f"iss is '{OTHER}', and the trusted issuers are '{ISSUER}'"


def test_a_keys_file_is_one_too(path: Path) -> None:
    """What one Node has fetched another may be given."""
    keys = read_static_keys(write(path, {ISSUER: key_set(signing_key(0))}), allow_http=False)
    KeysFile(path).save({ISSUER: KeptIssuer(keys[ISSUER])})
    assert read_static_keys(path, allow_http=False) == keys


@pytest.mark.parametrize(
    ("issuers", "said"),
    [
        ({}, "names no issuer"),
        ([], "names no issuer"),
        ([ISSUER], "names no issuer"),
        ({"http://auth.example.com": key_set(signing_key(0))}, "is not an issuer URL"),
        ({"https://auth.example.com/../x": key_set(signing_key(0))}, "is not an issuer URL"),
        ({ISSUER: []}, "is not a JWK Set"),
        ({ISSUER: {"keys": []}}, "the set is empty"),
        ({ISSUER: key_set(signing_key(0), alg="RS256")}, "key-0"),
        ({ISSUER: {"keys": [{}, {}]}}, "key number 1 is not an RSA key; key number 2 is not an"),
    ],
)
def test_a_file_without_usable_keys_stops_the_start(path: Path, issuers: object, said: str) -> None:
    """With the file, the issuer and what is wrong."""
    write(path, issuers)
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_STATIC_KEYS_FILE: ") as caught:
        read_static_keys(path, allow_http=False)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"issuers": {}, "issuers": {}}'])
def test_what_is_not_json_stops_the_start(path: Path, content: str) -> None:
    """By the name of the setting."""
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_STATIC_KEYS_FILE: .*JSON"):
        read_static_keys(path, allow_http=False)


def test_a_file_that_is_not_there_or_no_file_stops_the_start(path: Path) -> None:
    """With the path that was looked at, and nothing waits for a pipe."""
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^NMOS_AUTH_STATIC_KEYS_FILE: ") as caught:
            read_static_keys(path, allow_http=False)
        assert str(path) in str(caught.value)
        if not path.exists():
            assert "does not exist" in str(caught.value)
            os.mkfifo(path, 0o600)


def test_a_file_that_others_may_write_stops_the_start(path: Path) -> None:
    """Whoever writes keys there decides who may do what on this Node."""
    write(path, {ISSUER: key_set(signing_key(0))}, mode=0o666)
    with pytest.raises((ConfigurationError, FileRefused), match="NMOS_AUTH_STATIC_KEYS_FILE"):
        Settings(audience="node1.example.com", static_keys_file=path)


def test_one_bad_key_spoils_no_other(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of."""
    good, bad = signing_key(0).jwk(), signing_key(1).jwk(n="AQAB")
    write(path, {ISSUER: {"keys": [bad, good]}})
    assert len(read_static_keys(path, allow_http=False)[ISSUER]) == 1
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "key-1" in warning.getMessage()


def test_the_start_says_whom_it_trusts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In one line: names, issuers and why, their keys, where the audit log goes."""
    write(path, {ISSUER: key_set(signing_key(0))})
    settings = Settings(
        audience="node1.example.com,192.0.2.1",
        discovery="off",
        static_keys_file=path,
        trusted_issuers=OTHER,
        audit_log="off",
    )
    with caplog.at_level(logging.INFO, "nmos_auth"), protected(settings):
        pass
    (line,) = [each.getMessage() for each in caplog.records if "it trusts" in each.getMessage()]
    assert line == (
        f"this server is node1.example.com, 192.0.2.1; it trusts {OTHER} (trusted issuers; no keys"
        f" yet); {ISSUER} (static keys; keys held: key-0 for 0 s); no audit log is kept"
    )
