"""The rows: what is tried on a device, and the sentence that it is checked against.

To add one, write it in the module of its subject, with an id that no row ever had.
"""

from nmos_auth.probe.rows import Row
from nmos_auth.probe.table.answers import ANSWERS
from nmos_auth.probe.table.audience import AUDIENCE
from nmos_auth.probe.table.claims import CLAIMS
from nmos_auth.probe.table.connection import CONNECTION
from nmos_auth.probe.table.credentials import CREDENTIALS
from nmos_auth.probe.table.handshakes import HANDSHAKES
from nmos_auth.probe.table.issuers import ISSUERS
from nmos_auth.probe.table.jose import JOSE
from nmos_auth.probe.table.methods import METHODS
from nmos_auth.probe.table.paths import PATHS
from nmos_auth.probe.table.permissions import PERMISSIONS
from nmos_auth.probe.table.registry import REGISTRY
from nmos_auth.probe.table.subscriptions import SUBSCRIPTIONS
from nmos_auth.probe.table.times import TIMES
from nmos_auth.probe.table.writes import WRITES

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    *CREDENTIALS,
    *ANSWERS,
    *JOSE,
    *CLAIMS,
    *TIMES,
    *AUDIENCE,
    *PERMISSIONS,
    *PATHS,
    *METHODS,
    *HANDSHAKES,
    *CONNECTION,
    *ISSUERS,
    *WRITES,
    *REGISTRY,
    *SUBSCRIPTIONS,
)
"""All rows, in the order in which they are tried."""
