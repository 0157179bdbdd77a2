"""`nmos-auth serve` as its operator meets it: a process, a socket, signals."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import jwt
import pytest
import trustme

from nmos_auth.cli import main
from tests.authority.flows import Browser
from tests.support.tls import TestAuthority

COMMAND = [
    sys.executable,
    "-Werror",
    "-c",
    "import sys; from nmos_auth.cli import main; sys.exit(main())",
    "serve",
    "--port",
    "0",
]

CURL = shutil.which("curl")

CLIENTS = """
[[client]]
client_id = "node-0123456789-0123456789"
client_secret = "node-secret-0123456789"
audience = ["registry.example.com"]
scopes = ["registration"]
"""
CREDENTIALS = ("node-0123456789-0123456789", "node-secret-0123456789")


@dataclass(frozen=True)
class Process:
    """A server that has said that it serves."""

    process: subprocess.Popen[str]
    issuer: str
    introduction: list[str]

    def stderr_until(self, text: str) -> list[str]:
        """Read standard error up to the line that contains a text."""
        assert self.process.stderr is not None
        lines: list[str] = []
        for line in self.process.stderr:
            lines.append(line.rstrip("\n"))
            if text in line:
                return lines
        raise AssertionError(f"{text!r} never came: {lines}")

    def stop(self, by: signal.Signals) -> int:
        """End the server and give its exit code."""
        self.process.send_signal(by)
        return self.process.wait(20)


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[Process]:
    """Run the command until the block ends."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            introduction: list[str] = []
            for line in process.stdout:
                if line.startswith("Serving "):
                    yield Process(process, line.split()[1], introduction)
                    break
                introduction.append(line.rstrip("\n"))
            else:
                assert process.stderr is not None
                pytest.fail(f"the server did not start: {process.stderr.read()}")
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def certificate(tls: TestAuthority, tmp_path: Path) -> tuple[str, str]:
    """Write a certificate for loopback and its key to files."""
    issued = tls.root.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "server.crt", tmp_path / "server.key"
    for position, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(chain, append=position > 0)
    issued.private_key_pem.write_to_path(key)
    return str(chain), str(key)


@pytest.fixture
def clients(tmp_path: Path) -> str:
    """Write a clients file."""
    path = tmp_path / "clients.toml"
    path.write_text(CLIENTS)
    return str(path)


def test_it_serves_configured_clients_over_tls(
    tls: TestAuthority, certificate: tuple[str, str], clients: str
) -> None:
    """Metadata, keys and tokens are those of the issuer named; no client is made up."""
    chain, key = certificate
    with started(
        *("--host", "localhost", "--certificate", chain, "--private-key", key),
        *("--clients", clients, "--token-lifetime", "45"),
    ) as server:
        assert server.issuer.startswith("https://localhost:")
        assert server.introduction == []
        with httpx2.Client(verify=tls.client_context(), trust_env=False) as http:
            metadata = http.get(f"{server.issuer}/.well-known/oauth-authorization-server").json()
            assert metadata["issuer"] == server.issuer
            answer = http.post(
                metadata["token_endpoint"],
                data={"grant_type": "client_credentials", "scope": "registration"},
                auth=CREDENTIALS,
            ).json()
            keys = jwt.PyJWKSet.from_dict(http.get(metadata["jwks_uri"]).json())
        claims = jwt.decode(
            answer["access_token"],
            keys[jwt.get_unverified_header(answer["access_token"])["kid"]],
            algorithms=["RS512"],
            audience="registry.example.com",
            issuer=server.issuer,
        )
        assert claims["exp"] - claims["iat"] == answer["expires_in"] == 45
        lines = server.stderr_until("token issued")
        assert any("NOT FOR PRODUCTION" in line for line in lines)
        assert len(lines) >= 5
        assert not [line for line in lines if CREDENTIALS[1] in line]
        assert lines[-1].split()[0].endswith("Z")


def test_two_certificates_serve_all_clients(tls: TestAuthority, clients: str) -> None:
    """BCP-003-01: RSA and ECDSA, the suites of TLS 1.2 with DHE too, and HSTS on every answer."""
    files = [
        tls.write_server_files("localhost", key_type=kind)
        for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA)
    ]
    arguments = [
        argument
        for certificate, key in files
        for argument in ("--certificate", str(certificate), "--private-key", str(key))
    ]
    with started("--host", "localhost", "--clients", clients, *arguments) as server:
        for suite in (
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "DHE-RSA-AES256-GCM-SHA384",
        ):
            context = tls.client_context()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(suite)
            with httpx2.Client(verify=context, trust_env=False) as http:
                for path in ("/jwks", "/nothing"):
                    answer = http.get(server.issuer + path)
                    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    with (
        started(
            *("--host", "localhost", "--clients", clients, "--hsts-max-age", "0", *arguments[:4])
        ) as server,
        httpx2.Client(verify=tls.client_context(), trust_env=False) as http,
    ):
        assert "strict-transport-security" not in http.get(f"{server.issuer}/jwks").headers


def test_the_issuer_may_be_named(clients: str) -> None:
    """Behind a proxy the issuer has another name, another scheme and a path."""
    issuer = "https://auth.example.com/x-nmos/auth/v1.0"
    with started("--allow-http", "--clients", clients, "--issuer", issuer) as server:
        assert server.issuer == issuer


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_curl_line_it_prints_works(scheme: str, certificate: tuple[str, str]) -> None:
    """Without a clients file one client is made, and its line gets a token as it stands."""
    chain, key = certificate
    tls = ["--certificate", chain, "--private-key", key]
    with started(*(["--allow-http"] if scheme == "http" else tls)) as server:
        assert server.issuer.startswith(f"{scheme}://127.0.0.1:")
        [line] = [line for line in server.introduction if line.lstrip().startswith("curl ")]
        done = subprocess.run(
            [CURL or "", "--silent", "--show-error", "--noproxy", "*", *shlex.split(line)[1:]],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        token = httpx2.Response(200, text=done.stdout).json()["access_token"]
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["iss"] == server.issuer
        assert claims["aud"] == ["*"]
        assert claims["scope"] == "node connection"
        assert claims["x-nmos-connection"] == {"read": ["*"], "write": ["*"]}
        secret = next(line.split()[1] for line in server.introduction if "client_secret " in line)
        lines = server.stderr_until("token issued")
        assert not [line for line in lines if secret in line or token in line]


def test_programs_read_what_was_made() -> None:
    """One line of JSON, once it listens: the issuer, and every secret made for this run."""
    words = [*COMMAND, "--allow-http", "--json"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            answer = httpx2.post(
                f"{told['issuer']}/token",
                auth=(told["client_id"], told["client_secret"]),
                data={"grant_type": "client_credentials", "scope": "node"},
                trust_env=False,
            )
        finally:
            process.terminate()
    assert answer.status_code == 200
    assert told.keys() == {
        *("issuer", "client_id", "client_secret", "initial_access_token", "user", "password"),
    }


def kids(server: Process) -> list[str]:
    """Return the key ids that a server publishes."""
    response = httpx2.get(f"{server.issuer}/jwks", trust_env=False)
    return [key["kid"] for key in response.json()["keys"]]


def test_sighup_rotates_and_sigusr1_replaces(clients: str) -> None:
    """SIGHUP keeps the former key published, SIGUSR1 withdraws the one in use at once."""
    with started("--allow-http", "--clients", clients) as server:
        current, following = kids(server)
        server.process.send_signal(signal.SIGHUP)
        server.stderr_until("signing keys rotated")
        rotated = kids(server)
        assert (rotated[0], rotated[2]) == (following, current)
        server.process.send_signal(signal.SIGUSR1)
        server.stderr_until("signing key replaced")
        replaced = kids(server)
        assert following not in replaced
        assert replaced[0] not in rotated
        assert replaced[1:] == rotated[1:]


def test_keys_rotate_by_themselves(clients: str) -> None:
    """`--rotate-every` rotates, again and again, and warns where that is too quick."""
    with started("--allow-http", "--clients", clients, "--rotate-every", "1") as server:
        lines = server.stderr_until("signing keys rotated")
        assert any("IS-10 Changing Keys" in line for line in lines)
        begun = time.monotonic()
        server.stderr_until("signing keys rotated")
        assert time.monotonic() - begun > 0.5


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_end_is_no_failure(clients: str, by: signal.Signals) -> None:
    """SIGINT and SIGTERM end the server with code 0 and nothing more to say."""
    with started("--allow-http", "--clients", clients) as server:
        assert server.stop(by) == 0
        assert server.process.stderr is not None
        assert "Traceback" not in server.process.stderr.read()


def introduced(server: Process, before: str) -> str:
    """Return the line that follows a line with this text."""
    lines = server.introduction
    [position] = [index for index, line in enumerate(lines) if before in line]
    return lines[position + 1].strip()


def test_nodes_may_register_by_themselves() -> None:
    """`--open-client-credentials` is for Nodes without an initial access token, and warns."""
    document = {
        "client_name": "Node",
        "scope": "registration",
        "grant_types": ["client_credentials"],
        "response_types": ["code", "token"],
    }
    with started("--allow-http", "--open-client-credentials") as server:
        answer = httpx2.post(f"{server.issuer}/register", json=document, trust_env=False)
        assert answer.status_code == 201, answer.text
        lines = server.stderr_until("client registered")
        assert any("get tokens for events registration" in line for line in lines)


def test_without_a_file_there_are_a_user_and_a_token(tmp_path: Path) -> None:
    """What was printed once works: the user logs in, and a Node registers with the token."""
    database = tmp_path / "authority.db"
    with started("--allow-http", "--database", str(database)) as server:
        name, password = introduced(server, "A user who can log in").split()
        assert name == "operator"
        token = next(line for line in server.introduction if line.startswith("  eyJ")).strip()
        node = {
            "client_name": "Node",
            "scope": "registration",
            "grant_types": ["client_credentials"],
        }
        controller = {
            "client_name": "Controller",
            "scope": "connection",
            "redirect_uris": ["https://controller.example.com/callback"],
        }
        with httpx2.Client(base_url=server.issuer, trust_env=False) as http:
            headers = {"Authorization": f"Bearer {token}"}
            assert http.post("/register", json=node, headers=headers).status_code == 201
            client_id = http.post("/register", json=controller).json()["client_id"]
            query = {"response_type": "code", "client_id": client_id, "scope": "connection"}
            browser = Browser(http)
            form = {"username": name, "password": password}
            assert "Authorize a client" in browser.submit(browser.open(query), "login", **form).text
        lines = server.stderr_until("user logged in")
        assert not [line for line in lines if password in line or token in line]
    # The user is in the database by now: nobody is made, and a new password is made on demand.
    with started("--allow-http", "--database", str(database)) as server:
        assert not [line for line in server.introduction if "A user" in line]
    with started("--allow-http", "--database", str(database), "--user", name) as server:
        assert introduced(server, "A user who can log in").split()[1] != password


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", ""], "--user: must be 1 to 64 printable"),
        (["--user", "someone"], "--user someone: it already has a password in"),
        (["--ca-file", "/nothing.crt"], "--ca-file: /nothing.crt does not exist"),
        (["--database", "/nowhere/authority.db"], "/nowhere/authority.db: No such file"),
        (["--refresh-lifetime", "60"], "refresh_lifetime: must not be shorter"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 2, and no traceback."""
    path = tmp_path / "clients.toml"
    path.write_text(f'{CLIENTS}\n[[user]]\nname = "someone"\npassword = "password"\n')
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(["serve", "--port", "0", "--allow-http", "--clients", str(path), *arguments]))
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("nmos-auth serve: error: ")
    assert message in last
