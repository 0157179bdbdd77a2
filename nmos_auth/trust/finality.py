"""When it is final that a token which no held key verifies is invalid. Pure.

Until then its key may just have been published: the answer is 503, and the issuer is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

__all__ = ["FirstSeen", "LastFetch"]

_MOST_TOKENS = 4096

# Seconds that a server may need to publish a key after it has begun to sign with it.
_GRACE = 60.0


@dataclass(frozen=True, slots=True)
class LastFetch:
    """The last fetch of an issuer's keys that succeeded.

    Attributes:
        number: its number among all fetches.
        began: when it began, in seconds of a clock that never goes back.
        date: when the server answered, by the server's own clock, or None where it did not say.
    """

    number: int
    began: float
    date: float | None

    def began_after(self, begun: int) -> bool:
        """Tell whether it began after the fetch with that number."""
        return self.number > begun

    def knew_keys_of(self, issued_at: float | None, *, date: float, now: float) -> bool:
        """Tell whether a token was issued so long before the fetch that its key was public then.

        Args:
            issued_at: the token's `iat`, or None where it has none. It is not verified: a client
                that forges it is refused sooner.
            date: the time now, in seconds since 1970 UTC, for a server that does not say its own.
            now: the time now, on the clock of `began`.
        """
        if issued_at is None:
            return False
        answered = self.date if self.date is not None else date - (now - self.began)
        return issued_at < answered - _GRACE


class FirstSeen:
    """Remembers which fetch had begun last when a token was first seen.

    The memory is bounded: the oldest tokens are forgotten. A forgotten token is seen for the first
    time again, which costs its sender a 503.
    """

    def __init__(self) -> None:
        self._begun: OrderedDict[bytes, int] = OrderedDict()

    def begun(self, text: bytes, now_begun: int) -> int:
        """Return the number of the fetch that had begun last when the token was first seen.

        Args:
            text: the token, of which only a digest is kept.
            now_begun: the number of the fetch that has begun last by now.
        """
        begun = self._begun.setdefault(sha256(text).digest(), now_begun)
        if len(self._begun) > _MOST_TOKENS:
            self._begun.popitem(last=False)
        return begun

    def __len__(self) -> int:
        return len(self._begun)
