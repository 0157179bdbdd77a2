"""The `nmos-auth` command: what it refuses, in one line, with which exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from nmos_auth import __version__
from nmos_auth.cli import main, parser
from nmos_auth.client.grants.keys import ANNOUNCED
from tests.support.servers import listen
from tests.support.tls import TestAuthority

COMMAND = Path(sys.executable).with_name("nmos-auth")

SECRET = "secret-0123456789-0123456789"

CLIENTS = f"""
[[client]]
client_id = "too-short"
client_secret = "{SECRET}"
audience = ["registry.example.com"]
scopes = ["registration"]
"""


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process; give its code and what it wrote."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else -1
    written = capsys.readouterr()
    return code, written.out, written.err


def test_the_command_is_installed() -> None:
    """The console script runs, and tells the version."""
    script = Path(sys.executable).with_name("nmos-auth")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nmos-auth {__version__}\n"


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`serve --help` ends well and says what each option takes."""
    code, out, _ = run(["serve", "--help"], capsys)
    assert code == 0
    for option in ("--host", "--port", "--issuer", "--clients", "--certificate", "--private-key"):
        assert option in out
    for option in ("--allow-http", "--token-lifetime", "--rotate-every", "SIGHUP", "SIGUSR1"):
        assert option in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["serve"], "use either --certificate and --private-key, or --allow-http"),
        (["serve", "--certificate", "a"], "--certificate and --private-key require each other"),
        (["serve", "--private-key", "a"], "--certificate and --private-key require each other"),
        (
            ["serve", "--certificate", "a", "--private-key", "b", "--certificate", "c"],
            "--certificate and --private-key require each other",
        ),
        (
            ["serve", "--allow-http", "--certificate", "a", "--private-key", "b"],
            "use either --certificate and --private-key, or --allow-http",
        ),
        (
            ["serve", "--allow-http", "--host", "192.0.2.1"],
            "--host 192.0.2.1: http is served only on a loopback",
        ),
        (["serve", "--allow-http", "--host", ""], "http is served only on a loopback"),
        (["serve", "--port", "65536"], "argument --port: must be a whole number from 0 to 65535"),
        (["serve", "--port", "x"], "argument --port: must be a whole number"),
        (["serve", "--token-lifetime", "29"], "--token-lifetime: must be a whole number from 30"),
        (["serve", "--token-lifetime", "3601"], "--token-lifetime: must be a whole number"),
        (["serve", "--rotate-every", "0"], "--rotate-every: must be a whole number from 1"),
        (
            ["serve", "--allow-http", "--port", "0", "--issuer", "http://auth.example.com"],
            "issuer: must be https",
        ),
        (["serve", "--allow-http", "--clients", "/nothing.toml"], "/nothing.toml: No such file"),
        *(
            (["explain", "GET", "/", "--at", moment], "--at: must be a time such as")
            for moment in ("now", "0001-01-01T00:00:00", "9999-12-31T23:59:59-14:00")
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Code 2, nothing on standard output, and the last line of standard error says what."""
    code, out, err = run(arguments, capsys)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("nmos-auth")
    assert message in last


def test_a_wrong_client_is_told_without_its_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """File, client and field stand in the one line on standard error."""
    path = tmp_path / "clients.toml"
    path.write_text(CLIENTS)
    code, _, err = run(["serve", "--allow-http", "--clients", str(path)], capsys)
    assert code == 2
    assert err == (
        f"nmos-auth serve: error: {path}: client 1 (too-short): client_id: "
        "must be at least 20 printable ASCII characters\n"
    )


def test_certificates_that_cannot_be_used_are_named(
    capsys: pytest.CaptureFixture[str], tls: TestAuthority, tmp_path: Path
) -> None:
    """Absent, not PEM, encrypted or another's: one line, code 2, no prompt for a password."""
    certificate, key, junk = tmp_path / "a.crt", tmp_path / "b.key", tmp_path / "junk"
    tls.root.issue_cert("localhost").cert_chain_pems[0].write_to_path(certificate)
    tls.root.issue_cert("localhost").private_key_pem.write_to_path(key)
    junk.write_text("junk")
    absent, encrypted = tmp_path / "absent", tmp_path / "encrypted.key"
    plain = load_pem_private_key(key.read_bytes(), None)
    encrypted.write_bytes(
        plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )
    for chosen, chosen_key, message in (
        (absent, key, f"{absent}: No such file"),
        (certificate, absent, f"{absent}: No such file"),
        (junk, key, "junk"),
        (certificate, junk, "junk"),
        (certificate, encrypted, f"{encrypted}: "),
        (certificate, key, "key values mismatch"),
    ):
        code, _, err = run(
            ["serve", "--certificate", str(chosen), "--private-key", str(chosen_key)], capsys
        )
        assert code == 2
        assert message in err
        assert err.count("\n") == 1


def test_an_address_in_use_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Code 1 and one line where another program has the port."""
    with listen() as taken:
        port = taken.getsockname()[1]
        code, out, err = run(["serve", "--allow-http", "--port", str(port)], capsys)
    assert (code, out) == (1, "")
    assert err == (
        f"nmos-auth serve: error: 127.0.0.1 port {port}: Address already in use; end the program"
        " that uses it, or choose another port with --port\n"
    )


def test_an_unknown_host_is_a_failure(
    capsys: pytest.CaptureFixture[str], tls: TestAuthority, tmp_path: Path
) -> None:
    """A name that does not resolve is told in one line."""
    chain, key = tmp_path / "a.crt", tmp_path / "a.key"
    issued = tls.root.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    tls_options = ["--certificate", str(chain), "--private-key", str(key)]
    code, _, err = run(["serve", "--host", "nowhere.invalid", *tls_options], capsys)
    assert code == 1
    assert "nowhere.invalid port 8443: " in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("module", ["authlib", "uvicorn"])
def test_without_the_extra_serve_says_what_to_install(module: str) -> None:
    """Code 2, one line, no traceback; the rest of the package needs none of it."""
    program = (
        f"import sys; sys.modules['{module}'] = None; import nmos_auth; "
        "from nmos_auth.cli import main; sys.exit(main(['serve', '--allow-http']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"nmos-auth serve: error: {module} is not installed: "
        "pip install 'asgi-nmos-auth[authority]'\n"
    )


def test_every_command_speaks_to_programs() -> None:
    """Each has `--json`, but the one that prints nothing but JSON."""
    commands = next(each for each in parser()._actions if isinstance(each.choices, dict))
    assert isinstance(commands.choices, dict)
    assert {
        name
        for name, command in commands.choices.items()
        if "--json" not in command._option_string_actions
    } == {"keycloak-realm"}


def completing(line: str, answer: Path) -> dict[str, str]:
    """Return the environment in which a shell asks what may come next."""
    return {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_IFS": " ",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    """By argcomplete: what may come next, where a shell asks for it."""
    answers = []
    for line in ("nmos-auth ser", "nmos-auth keys ", "nmos-auth token --j"):
        answer = tmp_path / "answer"
        environment = completing(line, answer)
        subprocess.run([COMMAND], env=environment, capture_output=True, check=False)
        answers.append(answer.read_text().split())
    assert answers[0] == ["serve", "servers"]
    assert {"show", "jwks", "rotate"} <= set(answers[1])
    assert answers[2] == ["--json"]


# What commands need when they run, and what takes most of their start.
HEAVY = {"asyncio", "authlib", "cryptography", "fastapi", "h11", "httpcore", "httpx", "joserfc"}
HEAVY |= {"nmos_auth.authority", "pydantic", "ssl", "starlette", "uvicorn", "websockets"}


@pytest.mark.parametrize(
    "line", [None, "nmos-auth ", "nmos-auth token --", "nmos-auth probe --s", "nmos-auth doctor -"]
)
def test_the_command_line_is_read_without_what_commands_need(
    line: str | None, tmp_path: Path
) -> None:
    """Help, and each press of Tab, import only the parser."""
    environment = {} if line is None else completing(line, tmp_path / "answer")
    command = [sys.executable, "-X", "importtime", str(COMMAND), "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    imported = {each.rpartition("|")[2].strip() for each in done.stderr.splitlines()}
    assert "nmos_auth.probe.cli" in imported
    assert imported & HEAVY == set()


def test_the_announced_time_is_that_of_the_keys() -> None:
    """The parser writes the number once more, because the keys import cryptography."""
    assert parser().parse_args(["keys", "rotate"]).announced == ANNOUNCED


def test_ipv6_loopback_takes_http(capsys: pytest.CaptureFixture[str]) -> None:
    """`::1` is loopback: what fails is not the permission but the port that is taken."""
    with ipv6_listener() as taken:
        port = taken.getsockname()[1]
        code, _, err = run(["serve", "--allow-http", "--host", "::1", "--port", str(port)], capsys)
    assert code == 1
    assert f"::1 port {port}: Address already in use" in err


def ipv6_listener() -> socket.socket:
    """Listen on IPv6 loopback."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    try:
        return socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback on this machine")
