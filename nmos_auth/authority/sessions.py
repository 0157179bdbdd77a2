"""Browser sessions: kept here, known to the browser only by a random cookie."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from nmos_auth.authority.clients import secret_digest
from nmos_auth.authority.database import Database

__all__ = ["Session", "Sessions"]

# Seconds: to log in, and to stay logged in.
_ANONYMOUS_LIFETIME = 600
_LIFETIME = 8 * 3600
_MOST_SESSIONS = 10_000


@dataclass(frozen=True)
class Session:
    """A browser's session.

    Attributes:
        cookie: what the browser shows for it.
        csrf: what every form sent from this session has to hold.
        user: who logged in, or None.
        max_age: seconds until it ends.
        is_new: whether the browser has yet to be told of it.
    """

    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    user: str | None
    max_age: int
    is_new: bool


class Sessions:
    """The sessions in the database.

    Args:
        database: where.
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
        """Begin a session, before a login and, under another cookie, after it."""
        now = self._clock()
        lifetime = _ANONYMOUS_LIFETIME if user is None else _LIFETIME
        session = Session(
            secrets.token_urlsafe(32), secrets.token_urlsafe(32), user, lifetime, is_new=True
        )
        self._database.remove_expired(now)
        with self._database.transaction() as connection:
            # Whoever opens login pages all day long throws out others who have not logged in.
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
