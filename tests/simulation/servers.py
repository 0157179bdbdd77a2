"""Authorization Servers that start, stop, slow down, lie, rotate, withdraw; and the network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from nmos_auth.errors import FetchError
from nmos_auth.servers.answers import Document
from tests.simulation.world import HOUR, World
from tests.support.tokens import claims_of, compact, signing_key

__all__ = [
    "MALLORY",
    "WELL_KNOWN",
    "Mood",
    "Network",
    "Server",
    "Token",
    "live",
    "rotate",
    "sign",
    "unsigned",
]

WELL_KNOWN = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
MALLORY = 99
"""The number of the attacker's key."""
_DEADLINE = 5.0
_JSON = "application/json"


class Mood(StrEnum):
    """What a server does when it is asked."""

    GOOD = "good"
    SLOW = "slow"
    DOWN = "down"
    BUSY = "503"
    ERROR = "500"
    GONE = "404"
    PAGE = "a page"
    LIAR = "another issuer"
    EMPTY = "an empty document"

    @property
    def is_honest(self) -> bool:
        """Whether its documents can be had."""
        return self in {Mood.GOOD, Mood.SLOW}


_STATUSES = {Mood.BUSY: 503, Mood.ERROR: 500, Mood.GONE: 404, Mood.PAGE: 200}


@dataclass(frozen=True)
class Token:
    """A token, with what nobody who sees its text knows.

    Attributes:
        text: the token.
        issuer: whom it names.
        key: the number of the key that signed it.
        issued: when, by the clock that is right.
        iat: when, as it says itself.
        exp: when it ends, as it says itself.
    """

    text: str
    issuer: str
    key: int
    issued: float
    iat: float
    exp: float


@dataclass(eq=False)
class Server:
    """An Authorization Server.

    Attributes:
        host: where it is.
        port: likewise.
        path: its issuer's.
        keys: the numbers of the keys it publishes; it signs with the last.
        mood: what it does when it is asked.
        changed: when that changed last.
        behind: seconds by which its clock is behind.
        public_since: since when each key has been in its key set.
    """

    world: World
    host: str
    port: int
    path: str = ""
    keys: list[int] = field(default_factory=list)
    mood: Mood = Mood.GOOD
    changed: float = 0.0
    behind: float = 0.0
    public_since: dict[int, float] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Its issuer identifier."""
        return f"https://{self.host}:{self.port}{self.path}"

    @property
    def metadata_url(self) -> str:
        """Where RFC 8414 puts its metadata."""
        return f"https://{self.host}:{self.port}{WELL_KNOWN}{self.path}"

    @property
    def jwks_uri(self) -> str:
        """Where its keys are."""
        return f"{self.issuer}/jwks"

    def become(self, mood: Mood) -> None:
        """Change its mood."""
        self.mood = mood
        self.changed = self.world.monotonic
        self.world.tell(f"{self.issuer} is {mood}")

    def publish(self, *keys: int) -> None:
        """Publish these keys, and no others; it signs with the last."""
        now = self.world.monotonic
        self.public_since = {key: self.public_since.get(key, now) for key in keys}
        self.keys = list(keys)
        self.world.tell(f"{self.issuer} publishes {list(keys)}")

    def honest_for(self) -> float:
        """Return the seconds for which its documents have been there."""
        return self.world.monotonic - self.changed if self.mood.is_honest else 0.0

    def token(self, key: int | None = None, *, lifetime: float = 300.0, age: float = 0.0) -> Token:
        """Sign a token."""
        number = self.keys[-1] if key is None else key
        return sign(self.world, self.issuer, number, behind=self.behind + age, lifetime=lifetime)

    def answer(self, path: str) -> Document | FetchError:
        """Answer a request."""
        if path not in {WELL_KNOWN + self.path, f"{self.path}/jwks"}:
            return FetchError("404", status=404)
        if self.mood in _STATUSES:
            return FetchError(str(self.mood), status=_STATUSES[self.mood])
        date = float(int(self.world.now - self.behind))
        if self.mood is Mood.EMPTY:
            return Document({}, _JSON, date)
        if not path.startswith("/.well-known/"):
            jwks = [signing_key(number).jwk() for number in self.keys]
            return Document({"keys": jwks}, _JSON, date)
        issuer = "https://liar.example.com" if self.mood is Mood.LIAR else self.issuer
        return Document({"issuer": issuer, "jwks_uri": self.jwks_uri}, _JSON, date)


def sign(
    world: World,
    issuer: str,
    key: int,
    *,
    behind: float = 0.0,
    lifetime: float = 300.0,
    header: dict[str, object] | None = None,
) -> Token:
    """Sign a token with a key."""
    claims = _claims(world, issuer, behind, lifetime)
    text = signing_key(key).sign(claims, header)
    return _token(world, text, key, claims)


def unsigned(world: World, issuer: str, kid: str, *, behind: float = 0.0) -> Token:
    """Return a token with a signature that nobody made, which costs little to make."""
    claims = _claims(world, issuer, behind, 300.0)
    header = json.dumps({"alg": "RS512", "kid": kid}).encode()
    text = compact(header, json.dumps(claims).encode(), world.chance.randbytes(256))
    return _token(world, text, MALLORY, claims)


def _claims(world: World, issuer: str, behind: float, lifetime: float) -> dict[str, object]:
    iat = int(world.now - behind)
    jti = f"{world.chance.getrandbits(64):x}"  # of this history, and of no other run
    return claims_of(issuer, iat=iat, exp=iat + lifetime, jti=jti)


def _token(world: World, text: str, key: int, claims: dict[str, object]) -> Token:
    iat, exp = claims["iat"], claims["exp"]
    assert isinstance(iat, int)
    assert isinstance(exp, int | float)
    return Token(text, str(claims["iss"]), key, world.monotonic, iat, exp)


@dataclass
class Network:
    """Who is where, and what comes of asking.

    Attributes:
        servers: by host and port.
        planted: what the attacker has placed, by host and port and path.
        asking: is told of every URL before it is asked.
        over: is told that it has been asked, or that nobody wants to know any more.
        answered: is told what came of it.
    """

    world: World
    servers: dict[tuple[str, int], Server] = field(default_factory=dict)
    planted: dict[tuple[str, int], dict[str, Document]] = field(default_factory=dict)
    asking: Callable[[str], None] = print
    over: Callable[[str], None] = print
    answered: Callable[[str, Document | FetchError], None] = print

    def add(self, server: Server) -> Server:
        """Add a server."""
        self.servers[server.host, server.port] = server
        return server

    async def get_document(self, url: str) -> Document:
        """Ask for a document, as the resource server's client does."""
        self.asking(url)
        try:
            answer = await self._answer(url)
        finally:
            self.over(url)
        self.answered(url, answer)
        if isinstance(answer, FetchError):
            raise answer
        return answer

    async def aclose(self) -> None:
        """Close nothing."""

    async def _answer(self, url: str) -> Document | FetchError:
        parts = urlsplit(url)
        place = (parts.hostname or "", parts.port or 443)
        server = self.servers.get(place)
        chance = self.world.chance
        if server is None and place not in self.planted:
            # Nobody listens, or somebody without a certificate; some let the client wait.
            await asyncio.sleep(_DEADLINE if chance.happens(0.3) else 0.01)
            return FetchError(f"{url} cannot be reached")
        if server is not None and server.mood is Mood.DOWN:
            await asyncio.sleep(chance.choice([0.001, 2.0]))
            return FetchError(f"{url} cannot be reached")
        await asyncio.sleep(chance.uniform(0.005, 0.2))
        if server is not None and server.mood is Mood.SLOW:
            await asyncio.sleep(chance.uniform(0.5, 4.5))
        # As clients and servers do: dot segments are removed, escapes are undone.
        path = without_dots(unquote(parts.path).partition(";")[0])
        document = self.planted.get(place, {}).get(path)
        if document is not None:
            return document
        return FetchError("404", status=404) if server is None else server.answer(path)


def without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 Section 5.2.4)."""
    left: list[str] = []
    for segment in path.split("/")[1:]:
        bare = segment.partition(";")[0]
        if bare == "..":
            left = left[:-1]
        elif bare != ".":
            left.append(segment)
    return "/" + "/".join(left)


async def live(server: Server, pool: Sequence[int], *, mean: float, moods: list[Mood]) -> None:
    """Let a server rotate, withdraw, fail and recover for ever.

    Args:
        server: the server, with a key published.
        pool: the numbers of its keys.
        mean: seconds between two events, on average.
        moods: how it may fail.
    """
    chance = server.world.chance
    while True:
        await asyncio.sleep(chance.soon(mean))
        what = chance.random()
        if not server.mood.is_honest:
            server.become(Mood.GOOD if chance.happens(0.8) else Mood.SLOW)
        elif what < 0.35:
            rotate(server, pool)
        elif what < 0.5:
            server.publish(server.keys[-1])
        elif what < 0.6:
            for _ in range(4):
                rotate(server, pool)
                await asyncio.sleep(chance.uniform(0.5, 3.0))
        else:
            server.become(chance.choice(moods))
            if chance.happens(0.02):
                await asyncio.sleep(30 * HOUR)


def rotate(server: Server, pool: Sequence[int]) -> None:
    """Publish another key, and sign with it at once; the one before stays."""
    unused = [each for each in pool if each not in server.keys[-2:]]
    server.publish(*server.keys[-1:], server.world.chance.choice(unused))
