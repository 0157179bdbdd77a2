"""What users authorized: codes and refresh tokens, each used once, and each family revocable."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from typing_extensions import override

from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database, Row

__all__ = ["Authorization", "Authorizations", "Code", "RefreshToken"]

# RFC 6749 Section 4.1.2 recommends 10 minutes at most; a redirect takes seconds.
CODE_LIFETIME = 60


@dataclass(frozen=True)
class Authorization:
    """What a user permitted a Client; its codes and refresh tokens are one family.

    Attributes:
        id: in the database.
        client_id: whom.
        user: who.
        scope: what, separated by spaces.
        expires_at: until when refresh tokens count, seconds since the epoch.
        revoked: whether all of it is void.
    """

    id: int
    client_id: str
    user: str
    scope: str
    expires_at: float
    revoked: bool

    @classmethod
    def of(cls, row: Row) -> Authorization:
        """Read a row that has its columns."""
        return cls(
            id=row["id"],
            client_id=row["client_id"],
            user=row["user"],
            scope=row["scope"],
            expires_at=row["expires_at"],
            revoked=bool(row["revoked"]),
        )


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):
    """An authorization code that a Client presented.

    Attributes:
        authorization: what it stands for.
        redirect_uri: the parameter of the authorization request, or None.
        code_challenge: RFC 7636 Section 4.2, or None.
        code_challenge_method: likewise.
    """

    authorization: Authorization
    redirect_uri: str | None
    code_challenge: str | None
    code_challenge_method: str | None

    # The stub has str; None is how Authlib is told that the request had none.
    @override
    def get_redirect_uri(self) -> str | None:  # type: ignore[override]
        """Give the redirect URI of the request."""
        return self.redirect_uri

    @override
    def get_scope(self) -> str:
        """Give what was granted."""
        return self.authorization.scope


@dataclass(frozen=True)
class RefreshToken(TokenMixin):
    """A refresh token that a Client presented.

    Attributes:
        digest: what the database has of it.
        authorization: what it stands for.
        used: whether another has taken its place.
    """

    digest: bytes
    authorization: Authorization
    used: bool

    @override
    def check_client(self, client: ClientMixin) -> bool:
        """Tell whether it was issued to `client`."""
        return self.authorization.client_id == client.get_client_id()

    @override
    def get_scope(self) -> str:
        """Give what was granted."""
        return self.authorization.scope


class Authorizations:
    """Codes and refresh tokens in the database.

    Args:
        database: where.
        clock: seconds since the epoch.
        refresh_lifetime: seconds for which refresh tokens count.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[], float], refresh_lifetime: float
    ) -> None:
        self._database = database
        self._clock = clock
        self._refresh_lifetime = refresh_lifetime

    def grant_code(
        self,
        *,
        client_id: str,
        user: str,
        scope: str,
        redirect_uri: str | None,
        code_challenge: str | None,
        code_challenge_method: str | None,
    ) -> str:
        """Make a code for what a user has just permitted."""
        now = self._clock()
        self._database.remove_expired(now)
        code = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            authorization = connection.execute(
                "INSERT INTO authorization (client_id, user, scope, expires_at)"
                " VALUES (?, ?, ?, ?)",
                (client_id, user, scope, now + self._refresh_lifetime),
            ).lastrowid
            connection.execute(
                "INSERT INTO code (digest, authorization, redirect_uri, code_challenge,"
                " code_challenge_method, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    secret_digest(code),
                    authorization,
                    redirect_uri,
                    code_challenge,
                    code_challenge_method,
                    now + CODE_LIFETIME,
                ),
            )
        return code

    def take_code(self, code: str, client_id: str) -> tuple[Code | None, Authorization | None]:
        """Use up a code that a Client presents.

        Returns:
            The code where it counts; and the authorization that the reuse of a code has just
            revoked: "the authorization server MUST deny the request and SHOULD revoke (when
            possible) all tokens previously issued" (RFC 6749 Section 4.1.2).
        """
        digest = secret_digest(code)
        with self._database.transaction() as connection:
            row: Row | None = connection.execute(
                "SELECT authorization.*, used, redirect_uri, code_challenge,"
                " code_challenge_method, code.expires_at AS code_expires_at FROM code"
                " JOIN authorization ON authorization.id = code.authorization"
                " WHERE code.digest = ? AND authorization.client_id = ?",
                (digest, client_id),
            ).fetchone()
            if row is None:
                return None, None
            authorization = Authorization.of(row)
            if row["used"]:
                connection.execute(
                    "UPDATE authorization SET revoked = 1 WHERE id = ?", (authorization.id,)
                )
                return None, authorization
            connection.execute("UPDATE code SET used = 1 WHERE digest = ?", (digest,))
        if authorization.revoked or self._clock() >= row["code_expires_at"]:
            return None, None
        return (
            Code(
                authorization,
                row["redirect_uri"],
                row["code_challenge"],
                row["code_challenge_method"],
            ),
            None,
        )

    def new_refresh_token(self, authorization: Authorization) -> str:
        """Make a refresh token: IS-10 has it "at least 40 characters in length"."""
        token = secrets.token_urlsafe(36)
        self._database.change(
            "INSERT INTO refresh_token (digest, authorization) VALUES (?, ?)",
            secret_digest(token),
            authorization.id,
        )
        return token

    def find_refresh_token(self, token: str) -> RefreshToken | None:
        """Find a refresh token that has not expired, used or not."""
        digest = secret_digest(token)
        row = self._database.one(
            "SELECT used, authorization.* FROM refresh_token JOIN authorization"
            " ON authorization.id = refresh_token.authorization"
            " WHERE digest = ? AND expires_at > ?",
            digest,
            self._clock(),
        )
        if row is None:
            return None
        return RefreshToken(digest, Authorization.of(row), bool(row["used"]))

    def use_refresh_token(self, token: RefreshToken, *, extend: bool) -> bool:
        """Use up a refresh token; False where that has happened already, or it was revoked.

        Args:
            token: which.
            extend: let its successors count from now on for the whole lifetime again.
        """
        with self._database.transaction() as connection:
            used = connection.execute(
                "UPDATE refresh_token SET used = 1 WHERE digest = ? AND used = 0 AND authorization"
                " IN (SELECT id FROM authorization WHERE revoked = 0)",
                (token.digest,),
            ).rowcount
            if used and extend:
                connection.execute(
                    "UPDATE authorization SET expires_at = ? WHERE id = ?",
                    (self._clock() + self._refresh_lifetime, token.authorization.id),
                )
        return bool(used)

    def revoke(self, authorization: Authorization) -> None:
        """Make all codes and refresh tokens of an authorization void."""
        self._database.change("UPDATE authorization SET revoked = 1 WHERE id = ?", authorization.id)
