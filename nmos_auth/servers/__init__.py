"""The ground both halves stand on to talk to an Authorization Server."""

from nmos_auth.servers.urls import EndpointUrl, IssuerUrl

__all__ = ["EndpointUrl", "IssuerUrl"]
