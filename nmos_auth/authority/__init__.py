"""A small OAuth 2.0 Authorization Server for development, on Starlette. NOT FOR PRODUCTION.

It requires the extra `authority`. `nmos-auth serve` runs it; `create_authority` makes one that runs
inside another program.
"""

from nmos_auth.errors import MissingExtra

with MissingExtra.named("authority", "authlib", "typing_extensions"):
    from nmos_auth.authority.app import Authority, create_authority
    from nmos_auth.authority.clients import Client, Permissions
    from nmos_auth.authority.configuration import AuthorityFile, read_authority_file, read_clients
    from nmos_auth.authority.keys import SigningKeys, new_signing_key
    from nmos_auth.authority.policy import DEFAULT_PERMISSIONS, RegistrationPolicy
    from nmos_auth.authority.settings import AuthoritySettings
    from nmos_auth.authority.tokens import IssuedToken, TokenIssuer
    from nmos_auth.authority.users import User, hash_password

__all__ = [
    "DEFAULT_PERMISSIONS",
    "Authority",
    "AuthorityFile",
    "AuthoritySettings",
    "Client",
    "IssuedToken",
    "Permissions",
    "RegistrationPolicy",
    "SigningKeys",
    "TokenIssuer",
    "User",
    "create_authority",
    "hash_password",
    "new_signing_key",
    "read_authority_file",
    "read_clients",
]
