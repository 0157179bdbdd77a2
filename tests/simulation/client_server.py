"""An Authorization Server in memory: right about everything it keeps, and unreliable."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote_plus, urlsplit

from nmos_auth.client.errors import ServerUnavailable
from nmos_auth.client.http import Answer, HttpRequest

__all__ = ["ISSUER", "Family", "Habits", "SimulatedServer", "Trouble"]

ISSUER = "https://auth.example.com"
# Seconds for which the refresh token last replaced is accepted.
GRACE = 30.0
LIFETIME = 300.0

Trouble = Literal["down", "503", "429", "invalid_client", "html", "giant", "lost"]


@dataclass(frozen=True)
class Habits:
    """What a server always does.

    Attributes:
        rotates: each refresh token is good once.
        management: how it offers RFC 7592.
        update: how it answers RFC 7592 Section 2.2.
    """

    rotates: bool = True
    management: Literal["none", "plain", "rotating", "404", "401", "relative"] = "none"
    update: Literal[200, 204, 405, 501] = 200


@dataclass
class KnownClient:
    """A registered client."""

    client_id: str
    secret: str
    access: str


@dataclass
class Family:
    """What a user authorized: the refresh tokens of one login.

    Attributes:
        client_id: whose they are.
        current: the one that is good.
        previous: the one that it replaced.
        replaced_at: when.
        alive: it has not been revoked.
        lost: an answer with a token of it did not arrive.
        older: those that were good before `previous`.
    """

    number: int
    client_id: str
    current: str
    previous: str | None = None
    replaced_at: float = 0.0
    alive: bool = True
    lost: bool = False
    older: list[str] = field(default_factory=list)


class SimulatedServer:
    """Registers, issues, rotates and revokes, with latency and troubles.

    Args:
        habits: what it always does.
        chance: how long everything takes.

    Attributes:
        trouble: what it does at present instead of the right thing.
    """

    def __init__(self, habits: Habits, chance: random.Random) -> None:
        self.habits = habits
        self.trouble: Trouble | None = None
        self.slow = False
        self.clients: dict[str, KnownClient] = {}
        self.families: list[Family] = []
        self.codes: dict[str, str] = {}
        self.expiries: dict[str, float] = {}
        self.asked: list[tuple[float, str]] = []
        self.registered = 0
        self.lost_registrations = 0
        self.secrets: set[str] = set()
        self.complaints: list[str] = []
        self._chance = chance
        self._numbers = itertools.count(1)

    @property
    def now(self) -> float:
        """Return the time of the loop."""
        return asyncio.get_running_loop().time()

    def authorize(self, client_id: str) -> str:
        """Return a code, as the user's browser brings one back."""
        code = self._secret("code")
        self.codes[code] = client_id
        return code

    def family_of(self, token: str) -> Family | None:
        """Return the family that a refresh token that is good belongs to."""
        return next((each for each in self.families if each.current == token), None)

    def forget_clients(self) -> None:
        """Lose the database of clients, and what belongs to them."""
        self.clients.clear()
        for family in self.families:
            family.alive = False

    async def send(self, request: HttpRequest, died: Callable[[], bool]) -> Answer:
        """Answer a request, after a while.

        Args:
            request: the request.
            died: tells whether who sent it is not there any more.
        """
        path = urlsplit(request.url).path
        self.asked.append((self.now, f"{request.method} {path}"))
        await asyncio.sleep(self._latency())
        trouble = self.trouble
        if trouble == "down":
            raise ServerUnavailable(f"{request.url}: ConnectError")
        if trouble == "503":
            return Answer(503, {})
        if trouble == "429":
            return Answer(429, {}, retry_after=40)
        if trouble == "html":
            return Answer(self._chance.choice([200, 302, 404]), None)
        answer = self._handle(request, path)
        if trouble == "giant" and answer.document is not None and "expires_in" in answer.document:
            answer.document["expires_in"] = 10**400
            self.expiries[str(answer.document["access_token"])] = self.now + 10**12
        try:
            await asyncio.sleep(self._latency())
        except BaseException:
            if died():
                self._note_loss(request, answer)
            raise
        if trouble == "lost":
            self._note_loss(request, answer)
            raise ServerUnavailable(f"{request.url}: ReadTimeout")
        return answer

    def _latency(self) -> float:
        longest = 4.0 if self.slow else 0.4
        return self._chance.uniform(0.005, longest)

    def _note_loss(self, request: HttpRequest, answer: Answer) -> None:
        self.lost_registrations += request.url.endswith("/register")
        token = (answer.document or {}).get("refresh_token")
        for family in self.families:
            if family.current == token and "authorization_code" not in request.content.decode():
                family.lost = True

    def _secret(self, kind: str) -> str:
        value = f"{kind}-{next(self._numbers)}-{'s' * 30}"
        self.secrets.add(value)
        return value

    def _handle(self, request: HttpRequest, path: str) -> Answer:
        if path.startswith("/.well-known/"):
            return Answer(200, self._metadata())
        if path == "/register":
            return self._register(json.loads(request.content))
        if path.startswith("/register/"):
            return self._manage(request, path.rpartition("/")[2])
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        client_id = self._authenticated(request, form)
        if client_id is None or self.trouble == "invalid_client":
            return Answer(401, {"error": "invalid_client"})
        if path == "/revoke":
            return self._revoke(form["token"])
        return self._token(form, client_id)

    def _metadata(self) -> dict[str, object]:
        return {
            "issuer": ISSUER,
            "token_endpoint": f"{ISSUER}/token",
            "authorization_endpoint": f"{ISSUER}/authorize",
            "registration_endpoint": f"{ISSUER}/register",
            "revocation_endpoint": f"{ISSUER}/revoke",
            "code_challenge_methods_supported": ["S256"],
        }

    def _register(self, document: dict[str, object]) -> Answer:
        self.registered += 1
        client_id = f"client-{self.registered}"
        client = KnownClient(client_id, self._secret("secret"), self._secret("access"))
        self.clients[client_id] = client
        answer = {**document, "client_id": client_id}
        if document["token_endpoint_auth_method"] == "client_secret_basic":
            answer |= {"client_secret": client.secret, "client_secret_expires_at": 0}
        if self.habits.management != "none":
            relative = self.habits.management == "relative"
            at = f"/register/{client_id}"
            answer["registration_client_uri"] = at if relative else ISSUER + at
            answer["registration_access_token"] = client.access
        return Answer(201, answer)

    def _manage(self, request: HttpRequest, client_id: str) -> Answer:
        if self.habits.management == "404":
            return Answer(404, {})
        client = self.clients.get(client_id)
        bearer = request.headers.get("authorization")
        if self.habits.management == "401" or client is None or bearer != f"Bearer {client.access}":
            return Answer(401, {"error": "invalid_token"})
        if request.method == "DELETE":
            del self.clients[client_id]
            for family in self.families:
                family.alive &= family.client_id != client_id
            return Answer(204, None, empty=True)
        if request.method == "PUT" and self.habits.update in {405, 501}:
            return Answer(self.habits.update, {})
        if request.method == "PUT" and self.habits.update == 204:
            return Answer(204, None, empty=True)
        if self.habits.management == "rotating":
            client.access = self._secret("access")
        answer: dict[str, object] = {"client_id": client_id}
        if self.habits.management == "rotating":
            answer["registration_access_token"] = client.access
        return Answer(200, answer)

    def _authenticated(self, request: HttpRequest, form: dict[str, str]) -> str | None:
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(pair).decode().partition(":")
            client = self.clients.get(unquote_plus(name))
            good = client is not None and client.secret == unquote_plus(secret)
            return client.client_id if client is not None and good else None
        client_id = form.get("client_id", "")
        return client_id if client_id in self.clients else None

    def _revoke(self, token: str) -> Answer:
        for family in self.families:
            if token in {family.current, family.previous}:
                family.alive = False
        return Answer(200, {})

    def _token(self, form: dict[str, str], client_id: str) -> Answer:
        grants: dict[str, Callable[[], Answer]] = {
            "client_credentials": lambda: self._issued(form, None),
            "authorization_code": lambda: self._by_code(form, client_id),
            "refresh_token": lambda: self._refreshed(form, client_id),
        }
        return grants[form["grant_type"]]()

    def _by_code(self, form: dict[str, str], client_id: str) -> Answer:
        if self.codes.pop(form["code"], None) != client_id:
            return Answer(400, {"error": "invalid_grant"})
        family = Family(len(self.families) + 1, client_id, self._secret("refresh"))
        self.families.append(family)
        return self._issued(form, family.current)

    def _refreshed(self, form: dict[str, str], client_id: str) -> Answer:
        token = form["refresh_token"]
        for family in self.families:
            if token == family.current and family.alive and family.client_id == client_id:
                if self.habits.rotates:
                    family.older.append(family.previous or "")
                    family.previous, family.current = token, self._secret("refresh")
                    family.replaced_at = self.now
                family.lost = False
                return self._issued(form, family.current)
            if token == family.previous and family.alive and family.client_id == client_id:
                if self.now - family.replaced_at <= GRACE:
                    family.lost = False
                    return self._issued(form, family.current)
                self._revoke_for_reuse(family)
            elif token in family.older and family.alive:
                self._revoke_for_reuse(family)
            elif token == family.current and family.alive:
                self.complaints.append(
                    f"a token of {family.client_id} was presented by {client_id}"
                )
        return Answer(400, {"error": "invalid_grant"})

    def _revoke_for_reuse(self, family: Family) -> None:
        # RFC 9700 Section 4.14.2: somebody has it who should not.
        family.alive = False
        if not family.lost:
            self.complaints.append("a spent token was presented, and no answer had been lost")

    def _issued(self, form: dict[str, str], refresh_token: str | None) -> Answer:
        access_token = self._secret("token")
        self.expiries[access_token] = self.now + LIFETIME
        answer: dict[str, object] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(LIFETIME),
            "scope": form["scope"],
        }
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        return Answer(200, answer)
