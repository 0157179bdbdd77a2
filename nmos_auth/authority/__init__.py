"""A small OAuth 2.0 Authorization Server for development, on Starlette. NOT FOR PRODUCTION.

It needs the extra `authority`. `nmos-auth serve` runs it; `create_authority` makes one to run
inside another program.
"""

from nmos_auth.authority.app import Authority, create_authority
from nmos_auth.authority.clients import Client, Permissions, read_clients
from nmos_auth.authority.keys import SigningKeys, new_signing_key
from nmos_auth.authority.settings import AuthoritySettings
from nmos_auth.authority.tokens import IssuedToken, TokenIssuer

__all__ = [
    "Authority",
    "AuthoritySettings",
    "Client",
    "IssuedToken",
    "Permissions",
    "SigningKeys",
    "TokenIssuer",
    "create_authority",
    "new_signing_key",
    "read_clients",
]
