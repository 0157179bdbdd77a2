"""How users log in: through a web application, or in a browser on this machine."""

from nmos_auth.client.login.routes import LoginRoutes

__all__ = ["LoginRoutes", "loopback"]
