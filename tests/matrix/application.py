"""The app of five lines, with the settings of the environment, for servers that import it."""

from nmos_auth import NmosAuthMiddleware
from tests.contract.scene import echoing

__all__ = ["app"]

app = echoing()
app.add_middleware(NmosAuthMiddleware)
