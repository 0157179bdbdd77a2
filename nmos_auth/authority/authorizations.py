"""What users authorized: codes and refresh tokens, which are used once and revoked together."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin
from typing_extensions import override

from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database, Row

__all__ = ["REUSE_GRACE", "Authorization", "Authorizations", "Code", "RefreshToken", "Use"]

# Seconds for which the refresh token that was last replaced is still accepted. A client that stops
# between the answer and its own disk has no other; RFC 9700 Section 4.14.2 leaves the time to the
# server.
REUSE_GRACE = 30.0

# RFC 6749 Section 4.1.2 recommends 10 minutes at most; a redirect takes seconds.
CODE_LIFETIME = 60


class Use(Enum):
    """Whether a refresh token is used for the first time, again, or too late."""

    FIRST = "first"
    AGAIN = "again"
    REUSE = "reuse"


@dataclass(frozen=True)
class Authorization:
    """What a user permitted a Client; its codes and refresh tokens are one family.

    Attributes:
        id: its number in the database.
        client_id: the Client.
        user: the user.
        scope: the scopes, separated by spaces.
        expires_at: seconds since 1970 UTC until which refresh tokens are valid.
        revoked: whether all codes and tokens are void.
        generation: how often a refresh token has been replaced.
        replaced_at: seconds since 1970 UTC at which that last happened.
    """

    id: int
    client_id: str
    user: str
    scope: str
    expires_at: float
    revoked: bool
    generation: int
    replaced_at: float

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
            generation=row["generation"],
            replaced_at=row["replaced_at"],
        )


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):
    """An authorization code that a Client presented.

    Attributes:
        authorization: the authorization that it belongs to.
        redirect_uri: the parameter of the authorization request, or None.
        code_challenge: RFC 7636 Section 4.2, or None.
        code_challenge_method: RFC 7636 Section 4.3, or None.
    """

    authorization: Authorization
    redirect_uri: str | None
    code_challenge: str | None
    code_challenge_method: str | None

    # The stub has str; None tells Authlib that the request had none.
    @override
    def get_redirect_uri(self) -> str | None:  # type: ignore[override]
        """Return the redirect URI of the request."""
        return self.redirect_uri

    @override
    def get_scope(self) -> str:
        """Return what was granted."""
        return self.authorization.scope


@dataclass(frozen=True)
class RefreshToken(TokenMixin):
    """A refresh token that a Client presented.

    Attributes:
        authorization: the authorization that it belongs to.
        generation: how many replacements in its family came before it.
    """

    authorization: Authorization
    generation: int

    @override
    def check_client(self, client: ClientMixin) -> bool:
        """Tell whether it was issued to `client`."""
        return self.authorization.client_id == client.get_client_id()

    @override
    def get_scope(self) -> str:
        """Return what was granted."""
        return self.authorization.scope


class Authorizations:
    """Codes and refresh tokens in the database.

    Args:
        database: the database.
        clock: seconds since 1970 UTC.
        refresh_lifetime: seconds for which refresh tokens are valid.
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
            The code if it is valid, and the authorization that was revoked because a code was used
            twice: "the authorization server MUST deny the request and SHOULD revoke (when possible)
            all tokens previously issued" (RFC 6749 Section 4.1.2).
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
        """Make a refresh token of the family's present generation.

        IS-10 "Refresh Tokens" requires "at least 40 characters in length".
        """
        token = secrets.token_urlsafe(36)
        self._database.change(
            "INSERT INTO refresh_token (digest, authorization, issued_generation)"
            " SELECT ?, id, generation FROM authorization WHERE id = ?",
            secret_digest(token),
            authorization.id,
        )
        return token

    def find_refresh_token(self, token: str) -> RefreshToken | None:
        """Find a refresh token that has not expired, replaced or not."""
        row = self._database.one(
            "SELECT issued_generation, authorization.* FROM refresh_token JOIN authorization"
            " ON authorization.id = refresh_token.authorization"
            " WHERE digest = ? AND expires_at > ?",
            secret_digest(token),
            self._clock(),
        )
        return (
            None if row is None else RefreshToken(Authorization.of(row), row["issued_generation"])
        )

    def use_refresh_token(self, token: RefreshToken, *, extend: bool) -> Use:
        """Use up a refresh token, and tell whether that is its first use, a retry or a reuse.

        The tokens of a family have generations. A token of the present generation is valid and
        begins the next generation. A token of the previous generation is valid for 30 seconds more
        and does not begin a generation: its holder gets another token of the present one. The use
        of an older token, or of a revoked family, is a reuse.

        Args:
            token: the token.
            extend: let its successors be valid for the whole lifetime from now on.
        """
        now = self._clock()
        with self._database.transaction() as connection:
            row: Row | None = connection.execute(
                "SELECT generation, replaced_at FROM authorization WHERE id = ? AND revoked = 0",
                (token.authorization.id,),
            ).fetchone()
            if row is None:
                return Use.REUSE
            if token.generation != row["generation"]:
                # The difference may have either sign, since the clock may have been set back.
                recent = abs(now - row["replaced_at"]) < REUSE_GRACE
                last = token.generation == row["generation"] - 1
                return Use.AGAIN if recent and last else Use.REUSE
            connection.execute(
                "UPDATE authorization SET generation = generation + 1, replaced_at = ?"
                " WHERE id = ?",
                (now, token.authorization.id),
            )
            if extend:
                connection.execute(
                    "UPDATE authorization SET expires_at = ? WHERE id = ?",
                    (now + self._refresh_lifetime, token.authorization.id),
                )
        return Use.FIRST

    def revoke(self, authorization: Authorization) -> None:
        """Make all codes and refresh tokens of an authorization void."""
        self._database.change("UPDATE authorization SET revoked = 1 WHERE id = ?", authorization.id)
