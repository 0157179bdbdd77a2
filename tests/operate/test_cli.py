"""`nmos-auth explain` and `nmos-auth doctor`, as they are typed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from nmos_auth.cli import main
from tests.support.authority import FakeAuthorizationServer
from tests.support.other_users import STRANGER, as_root
from tests.support.tls import TestAuthority
from tests.support.tokens import claims_of, signing_key

SELF = "https://node1.example.com/x-nmos/node/v1.3/self"
READ = {"x-nmos-node": {"read": ["self"]}}


@pytest.fixture(autouse=True)
def environment(
    authority: FakeAuthorizationServer, tls: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set what the Node has."""
    monkeypatch.setenv("NMOS_AUTH_AUDIENCE", "node1.example.com")
    monkeypatch.setenv("NMOS_AUTH_SERVERS", authority.issuer)
    monkeypatch.setenv("NMOS_AUTH_CA_FILE", str(tls.ca_file))


@pytest.fixture
def write(tmp_path: Path) -> Path:
    """Return the file for a token."""
    return tmp_path / "token"


def test_a_token_that_is_enough(
    authority: FakeAuthorizationServer, write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0, a step a line, and the answer."""
    write.write_text(authority.token(**READ))
    assert main(["explain", "--token-file", str(write), "GET", SELF]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"GET {SELF}\n")
    assert "ok permission" in " ".join(out.split())
    assert out.endswith("permitted: 200\n")


def test_a_token_that_is_not_enough(
    authority: FakeAuthorizationServer, write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the step that decides, and one sentence on what to change; never the token."""
    token = authority.token(**READ)
    write.write_text(f"Bearer {token}\n")
    assert main(["explain", "--token-file", str(write), "PUT", SELF]) == 1
    out = capsys.readouterr().out
    assert "NO permission" in " ".join(out.split())
    assert "refused: 403 insufficient_scope" in out
    assert out.splitlines()[-1].startswith("→ ")
    assert token.rpartition(".")[2] not in out


def test_a_token_on_standard_input_as_json(
    authority: FakeAuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Programs read the same: outcome, status, reason, detail, cure and steps."""
    monkeypatch.setattr("sys.stdin", io.StringIO(authority.token(aud=["other.example.com"])))
    assert main(["explain", "--token-file", "-", "--json", "GET", SELF]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["status"], told["reason"]) == ("refused", 403, "audience")
    assert told["cure"]
    assert [each["good"] for each in told["steps"] if each["name"] == "aud"] == [False]


def test_another_node_and_another_time(
    authority: FakeAuthorizationServer, write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--audience` and `--at` stand in for what that Node has."""
    write.write_text(authority.token(**READ, aud=["node2.example.com"]))
    options = ["explain", "--token-file", str(write)]
    assert main([*options, "GET", SELF]) == 1
    assert main([*options, "--audience", "node2.example.com", "GET", SELF]) == 0
    assert main([*options, "--at", "2020-01-01T00:00:00Z", "GET", SELF]) == 1
    assert "in the future" in capsys.readouterr().out


def test_without_a_server(
    authority: FakeAuthorizationServer,
    tmp_path: Path,
    write: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--offline` asks nobody: the keys are those that the Node has kept."""
    write.write_text(authority.token(**READ))
    words = ["explain", "--offline", "--token-file", str(write), "GET", SELF]
    assert main(words) == 2
    assert "NMOS_AUTH_KEYS_FILE" in capsys.readouterr().err
    kept = tmp_path / "keys.json"
    kept.write_text(json.dumps({"issuers": {authority.issuer: authority.jwks()}}))
    kept.chmod(0o600)
    monkeypatch.setenv("NMOS_AUTH_KEYS_FILE", str(kept))
    assert main(words) == 0
    # What no Node has written yet does not stand in the way of the other file.
    monkeypatch.setenv("NMOS_AUTH_KEYS_FILE", str(tmp_path / "none.json"))
    monkeypatch.setenv("NMOS_AUTH_STATIC_KEYS_FILE", str(kept))
    assert main(words) == 0
    write.write_text(signing_key(9).sign(claims_of(authority.issuer, **READ)))
    assert main(words) == 1
    assert "reason: signature" in capsys.readouterr().out
    assert authority.requests == []


def test_all_that_a_token_permits(
    authority: FakeAuthorizationServer, write: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list` reads the claims, and asks nobody."""
    write.write_text(authority.token(scope="", **READ, **{"x-nmos-connection": None}))
    assert main(["explain", "--token-file", str(write), "--list"]) == 0
    assert capsys.readouterr().out == "node: read self\n"
    assert main(["explain", "--token-file", str(write), "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"permissions": {"node": "read self"}}
    assert authority.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain"], "METHOD and URL are required"),
        (["explain", "GET", "https://[x"], "URL: 'https://[x' is not a URL"),
        (["explain", "--list"], "--list requires --token-file"),
        (
            ["explain", "--token-file", "/nowhere/token", "GET", SELF],
            "/nowhere/token: No such file",
        ),
        (["explain", "--token-file", "/dev/zero", "GET", SELF], "is too long for an access token"),
        (["explain", "--audience", "not a name", "GET", SELF], "NMOS_AUTH_AUDIENCE"),
    ],
)
def test_a_command_line_that_is_wrong(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and one line that says what to write."""
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_doctor_finds_nothing_wrong(
    authority: FakeAuthorizationServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 where nothing failed; the server's keys are named."""
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "failure" not in out
    assert "keys that verify access tokens" in out
    assert authority.issuer in " ".join(out.split())


def test_the_doctor_finds_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and each failure with its cure, as JSON too."""
    monkeypatch.setenv("NMOS_AUTH_SERVERS", "https://localhost:1")
    assert main(["doctor", "--json", "--node", "https://localhost:1"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["worst"] == "failure"
    failures = [each for each in told["findings"] if each["level"] == "failure"]
    assert {each["subject"] for each in failures} >= {"https://localhost:1"}
    assert all(each["cure"] for each in failures)


def test_the_doctor_names_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stops the start is a finding here, with its variable."""
    monkeypatch.setenv("NMOS_AUTH_LEEWAY", "-1")
    monkeypatch.setenv("NMOS_AUTH_AUDIENC", "x")
    assert main(["doctor"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "failure settings: NMOS_AUTH_LEEWAY" in out
    assert "NMOS_AUTH_AUDIENC (did you mean NMOS_AUTH_AUDIENCE?) is not a setting" in out


@pytest.mark.parametrize("variable", ["NMOS_AUTH_KEYS_FILE", "NMOS_AUTH_STATIC_KEYS_FILE"])
def test_the_doctor_reads_the_files_of_keys(
    variable: str,
    tmp_path: Path,
    authority: FakeAuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that would stop the start is a finding here, and stays as it is."""
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    path.chmod(0o644)
    monkeypatch.setenv(variable, str(path))
    assert main(["doctor"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert f"failure settings: {variable}: {path}" in out
    assert f"{variable} must be the path of" in out
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("127.0.0.1 localhost\n", 0o644)
    assert authority.issuer in out


@as_root
def test_the_doctor_does_not_judge_the_kept_keys_of_another_user(
    tmp_path: Path,
    authority: FakeAuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An administrator may run it, who is not the user of the Node; that is a warning."""
    path = tmp_path / "keys.json"
    path.write_text('{"issuers": {}}')
    os.chown(path, STRANGER, STRANGER)
    monkeypatch.setenv("NMOS_AUTH_KEYS_FILE", str(path))
    assert main(["doctor"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"warning settings: NMOS_AUTH_KEYS_FILE: {path} belongs to user {STRANGER}" in out
    assert "run this command as the user of the Node" in out
    assert authority.issuer in out


@pytest.mark.parametrize(
    ("variables", "code", "word"),
    [
        ({}, 1, "failure"),
        (
            {"NMOS_AUTH_CLIENT_ID": "client-of-the-test", "NMOS_AUTH_CLIENT_SECRET": "s"},
            0,
            "warning",
        ),
        ({"NMOS_AUTH_CLIENT_ID": "client-of-the-test", "NMOS_AUTH_AUDIENCE": "a b"}, 1, "failure"),
    ],
    ids=["nothing", "client", "wrong"],
)
def test_the_doctor_goes_on_without_a_name(
    authority: FakeAuthorizationServer,
    variables: dict[str, str],
    code: int,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A host that is only a client needs none, and its servers are checked all the same."""
    monkeypatch.delenv("NMOS_AUTH_AUDIENCE")
    monkeypatch.setattr("socket.getfqdn", lambda: "localhost")
    for name, value in {
        **variables,
        "NMOS_AUTH_CLIENT_AUTH_METHOD": "client_secret_basic",
        "NMOS_AUTH_CLIENT_SCOPE": "registration",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor"]) == code
    out = capsys.readouterr().out
    assert out.startswith(f"{word:<8} settings: NMOS_AUTH_AUDIENCE: ")
    assert "keys that verify access tokens" in out
    assert "no-name.invalid" not in out
    main(["doctor", "--node", authority.issuer])
    assert "no-name.invalid" not in capsys.readouterr().out


def test_an_env_file_stands_in_for_the_nodes_own(
    authority: FakeAuthorizationServer,
    tls: TestAuthority,
    write: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the Node is run by a unit file, its settings are in no shell."""
    for name in ("AUDIENCE", "SERVERS", "CA_FILE"):
        monkeypatch.delenv(f"NMOS_AUTH_{name}")
    # Set and taken away, so that the test leaves nothing behind.
    monkeypatch.setenv("NMOS_AUTH_ENV_FILE", "/nowhere")
    env_file = tmp_path / "node.env"
    env_file.touch(mode=0o600)
    env_file.write_text(
        f"NMOS_AUTH_AUDIENCE=node1.example.com\nNMOS_AUTH_SERVERS={authority.issuer}\n"
        f"NMOS_AUTH_CA_FILE={tls.ca_file}\n"
    )
    write.write_text(authority.token(**READ))
    explain = ["explain", "--env-file", str(env_file), "--token-file", str(write), "GET", SELF]
    assert main(explain) == 0
    assert main(["doctor", "--env-file", str(env_file)]) == 0
    assert main(["doctor", "--env-file", "/nowhere"]) == 1
    assert "NMOS_AUTH_ENV_FILE: /nowhere does not exist" in " ".join(
        capsys.readouterr().out.split()
    )
