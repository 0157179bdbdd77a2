"""The BBC's `nmos-auth` on loopback over TLS; run by the Python of its own environment.

Reads one line of JSON from standard input, `{"port", "certificate", "key", "folder", "slashes"}`,
prints `{"issuer"}` as JSON when it serves, and ends when standard input is closed.
"""

# What it imports is installed in another environment:
# mypy: ignore-errors

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

options = json.loads(sys.stdin.readline())
folder = Path(options["folder"])
host = f"localhost:{options['port']}"
issuer = f"https://{host}"

# What installing it would have left in /var/nmosauth.
from nmosauth.auth_server import constants  # noqa: E402

constants.NMOSAUTH_DIR = str(folder)
constants.PRIVKEY_PATH = str(folder / "privkey.pem")
constants.PUBKEY_PATH = str(folder / "pubkey.pem")
key = rsa.generate_private_key(65537, 2048)
Path(constants.PRIVKEY_PATH).write_bytes(
    key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
)
Path(constants.PUBKEY_PATH).write_bytes(
    key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
)

# Its metadata is made of this, and knows of no port.
socket.getfqdn = lambda: host

from nmosauth.auth_server.config import config  # noqa: E402

config["https_mode"] = "enabled"

from gevent import pywsgi  # noqa: E402
from nmosauth.auth_server import db_utils  # noqa: E402
from nmosauth.auth_server.security_api import SecurityAPI  # noqa: E402
from nmoscommon.logger import Logger  # noqa: E402

api = SecurityAPI(Logger("nmosauth"), config, "BaseConfig", {"OAUTH2_JWT_ISS": issuer})
with api.app.app_context():
    # Clients register in the name of the first administrator.
    admin = db_utils.addAdminUser("admin", "operator")
    names = ("registration", "query", "node", "connection", "netctrl", "events", "channelmapping")
    db_utils.addResourceOwner(admin, "operator", "operator", **dict.fromkeys(names, "write"))

application = api.app
SLASHED = ("/.well-known/oauth-authorization-server", f"{constants.AUTH_VERSION_ROOT}jwks")


def with_slashes(environ: dict[str, object], start_response: object) -> object:
    """Add what the metadata leaves out."""
    if environ["PATH_INFO"] in SLASHED:
        environ["PATH_INFO"] = f"{environ['PATH_INFO']}/"
    return application(environ, start_response)


certificate, private = folder / "server.crt", folder / "server.key"
certificate.write_text(options["certificate"])
private.write_text(options["key"])
server = pywsgi.WSGIServer(
    ("127.0.0.1", options["port"]),
    with_slashes if options["slashes"] else application,
    certfile=str(certificate),
    keyfile=str(private),
    log=None,
    error_log=sys.stderr,
)
server.start()


def end_with_standard_input() -> None:
    """End the process when whoever started it is gone."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_standard_input, daemon=True).start()
sys.stdout.write(json.dumps({"issuer": issuer}) + "\n")
sys.stdout.flush()
server.serve_forever()
