"""A small OAuth 2.0 Authorization Server for development, on Starlette. NOT FOR PRODUCTION.

It needs the extra `authority`. `nmos-auth serve` runs it; `create_authority` makes one to run
inside another program.
"""

try:
    from nmos_auth.authority.app import Authority, create_authority
    from nmos_auth.authority.clients import Client, Permissions
    from nmos_auth.authority.configuration import AuthorityFile, read_authority_file, read_clients
    from nmos_auth.authority.keys import SigningKeys, new_signing_key
    from nmos_auth.authority.policy import DEFAULT_PERMISSIONS, RegistrationPolicy
    from nmos_auth.authority.settings import AuthoritySettings
    from nmos_auth.authority.tokens import IssuedToken, TokenIssuer
    from nmos_auth.authority.users import User, hash_password
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in {"authlib", "typing_extensions"}:
        raise
    raise ModuleNotFoundError(
        f"{missing} is not installed, which nmos_auth.authority requires:"
        " pip install 'asgi-nmos-auth[authority]'",
        name=missing,
    ) from None

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
