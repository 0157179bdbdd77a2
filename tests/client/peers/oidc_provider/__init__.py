"""npm `oidc-provider`, a certified OpenID provider, on the machine's Node.js."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.client.peers.programs import installed_once, run_installer, started
from tests.support.peers import unavailable
from tests.support.tls import TestAuthority

__all__ = ["OidcProvider", "installed", "running"]

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json", "server.mjs")


@dataclass(frozen=True)
class OidcProvider:
    """One that runs.

    Attributes:
        issuer: its issuer identifier.
    """

    issuer: str


def installed() -> Path:
    """Install it, once for all runs, and give the folder; skip the test where that cannot be."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        unavailable("Node.js with npm is not installed")

    def install(folder: Path) -> None:
        for name in FILES:
            shutil.copy(HERE / name, folder / name)
        run_installer(folder, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")

    return installed_once("oidc-provider", [HERE / name for name in FILES], install)


@contextlib.contextmanager
def running(tls: TestAuthority, **options: object) -> Iterator[OidcProvider]:
    """Run it on a free port over TLS until the block ends.

    Args:
        tls: issues its certificate, and is what it trusts when it fetches a `jwks_uri`.
        options: `path` of the issuer, `tokenLifetime` in seconds, `initialAccessToken`,
            `assertionAlgorithms`.
    """
    certificate = tls.root.issue_cert("localhost", "127.0.0.1")
    given = {
        "path": "",
        "tokenLifetime": 60,
        "certificate": "".join(part.bytes().decode() for part in certificate.cert_chain_pems),
        "key": certificate.private_key_pem.bytes().decode(),
        "ca": tls.ca_file.read_text(),
        **options,
    }
    command = [shutil.which("node") or "node", "server.mjs"]
    with started(command, given, folder=installed()) as issuer:
        yield OidcProvider(issuer)
