"""Browser sessions: they are kept here, and the browser only has a random cookie."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database

__all__ = ["Session", "Sessions"]

# Seconds that a user has to log in, and for which a user stays logged in.
_ANONYMOUS_LIFETIME = 600
_LIFETIME = 8 * 3600
_MOST_SESSIONS = 10_000


@dataclass(frozen=True)
class Session:
    """A browser's session.

    Attributes:
        cookie: the value of its cookie.
        csrf: the value that every form of this session must have.
        user: the user who logged in, or None.
        max_age: seconds until it ends.
        is_new: whether the browser does not have the cookie yet.
    """

    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    user: str | None
    max_age: int
    is_new: bool


class Sessions:
    """The sessions in the database.

    Args:
        database: the database.
        clock: seconds since 1970 UTC.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def find(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie, or None."""
        if not cookie:
            return None
        now = self._clock()
        row = self._database.one(
            "SELECT csrf, user, expires_at FROM session WHERE digest = ? AND expires_at > ?",
            secret_digest(cookie),
            now,
        )
        if row is None:
            return None
        return Session(cookie, row["csrf"], row["user"], int(row["expires_at"] - now), is_new=False)

    def begin(self, user: str | None = None) -> Session:
        """Begin a session: one before a login, and one with another cookie after it."""
        now = self._clock()
        lifetime = _ANONYMOUS_LIFETIME if user is None else _LIFETIME
        session = Session(
            secrets.token_urlsafe(32), secrets.token_urlsafe(32), user, lifetime, is_new=True
        )
        self._database.remove_expired(now)
        with self._database.transaction() as connection:
            # A client that opens many login pages only displaces sessions without a login.
            connection.execute(
                "DELETE FROM session WHERE user IS NULL AND digest NOT IN (SELECT digest FROM"
                " session WHERE user IS NULL ORDER BY expires_at DESC LIMIT ?)",
                (_MOST_SESSIONS,),
            )
            connection.execute(
                "INSERT INTO session (digest, csrf, user, expires_at) VALUES (?, ?, ?, ?)",
                (secret_digest(session.cookie), session.csrf, user, now + lifetime),
            )
        return session

    def end(self, session: Session) -> None:
        """End a session."""
        self._database.change("DELETE FROM session WHERE digest = ?", secret_digest(session.cookie))
