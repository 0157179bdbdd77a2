"""All that belongs to one session of a user: what is followed, what is under way, who watches."""

import asyncio
import contextlib
import functools
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from starlette.responses import Response

from example_node.controller.connecting import Changes, Connector
from example_node.controller.connecting.changes import ConnectionLog
from example_node.controller.connecting.endpoints import Endpoints
from example_node.controller.connecting.once import Once
from example_node.controller.connecting.salvos import Salvos
from example_node.controller.event_values import EventValues, reception_of
from example_node.controller.following import Follower, QueryApi
from example_node.controller.pauses import with_pauses
from example_node.controller.permissions import Permissions
from example_node.controller.plant import COLLECTIONS, Device, Plant, Receiver, Row
from example_node.controller.plant.rows import Shown, row_of
from example_node.controller.reach import CONNECTION, Reach
from example_node.registration.registries import Registries
from nmos_auth import NmosAuthError
from nmos_auth.client import HeldToken, TokenHosts, TokenSource
from nmos_auth.client.presenting import Recipients
from nmos_auth.rules.permissions import Verb
from nmos_auth.servers.access import ServerAccess
from nmos_auth.servers.addresses import Address
from nmos_auth.servers.urls import Origin

MOST_WATCHERS = 24
MOST_HREFS = 5000
NOBODY = "nobody: this plant has no authorization"


@dataclass(frozen=True)
class Surroundings:
    """What all desks have in common.

    Attributes:
        registries: makes what knows the Query APIs.
        named: query APIs that the operator named, which get tokens whatever their audience.
        access: how servers are reached.
        tls: verifies the certificates of WebSockets.
        hosts: the operator's list of hosts that get tokens.
        permitted: tells which addresses may be connected to.
        allow_http: for development, use servers without TLS too.
        log: what all users asked for.
        salvos: connections that are kept.
    """

    registries: Callable[[], Registries]
    named: Collection[str]
    access: ServerAccess
    tls: ssl.SSLContext
    hosts: TokenHosts
    permitted: Callable[[Address], bool]
    allow_http: bool
    log: ConnectionLog
    salvos: Salvos


class Watcher:
    """What one page that is open has still to be told."""

    def __init__(self) -> None:
        self.rows: set[Row] = set()
        self.values: set[str] = set()
        self.news = asyncio.Event()

    def take(self) -> tuple[set[Row], set[str]]:
        """Return the rows to tell of, and the Senders with other values, and forget them."""
        taken = self.rows, self.values
        self.rows, self.values = set(), set()
        self.news.clear()
        return taken


class Desk:
    """One user's view of the plant.

    Args:
        tokens: the user's; None where there is no authorization.
        around: what all desks have in common.
        ended: set once the session has ended.

    Attributes:
        no_token: why there was no token when that was seen last; "" where there was one, or none is
            needed.
    """

    def __init__(
        self, tokens: TokenSource | None, around: Surroundings, ended: asyncio.Event
    ) -> None:
        self.ended = ended
        self.tokens = tokens
        self.permissions = Permissions(None)
        self.no_token = ""
        self.plant = Plant(self._touched)
        self.reach = Reach(
            around.access, tokens, around.hosts, around.permitted, allow_http=around.allow_http
        )
        self.changes = Changes(self._changed)
        self.log = around.log
        self.salvos = around.salvos
        self.salvos_once: Once[Response] = Once()
        self.endpoints = Endpoints(self.plant, self.reach)
        self.connector = Connector(
            self.plant, self.endpoints, self.changes, around.log, lambda: self.who
        )
        api = QueryApi(
            self.reach.http,
            tokens,
            _recipients(around),
            tls=around.tls,
            # A registry is one that the operator or the operator's DNS names.
            connector=self.reach.connector,
            allow_http=around.allow_http or tokens is None,
        )
        self.follower = Follower(
            around.registries(), api, self.plant, COLLECTIONS, on_state=self._tell_all
        )
        self.events = EventValues(
            self.plant,
            self.reach,
            self.endpoints,
            reception_of(self.reach, tokens, around.tls),
            self._valued,
        )
        self._watchers: set[Watcher] = set()
        self.follower.start()

    @property
    def who(self) -> str:
        """The user's name."""
        return NOBODY if self.tokens is None else self.permissions.who or "a user"

    async def refresh(self) -> None:
        """See what the token of now says; without one, what the last one said holds."""
        if self.tokens is None:
            return
        try:
            token = await self.tokens.token()
        except NmosAuthError as error:
            self.no_token = f"There is no token now: {error}"
            return
        self.no_token = ""
        former, self.permissions = self.permissions, _permissions(token, self.reach.hosts)
        if (former.apis(), former.audience) != (self.permissions.apis(), self.permissions.audience):
            self._touched({Row("receivers", each) for each in self.plant.receivers})

    def row(self, row: Row) -> Shown | None:
        """Return what is shown of a row."""
        return row_of(self.plant, row, self.changes.note, self.reason)

    async def rows(self, rows: Iterable[Row]) -> list[Shown]:
        """Return what is shown of rows, without those that are gone."""
        found = [self.row(each) async for each in with_pauses(rows)]
        return [each for each in found if each is not None]

    def reason(self, receiver: Receiver, device: Device | None) -> str:
        """Return why a Receiver surely may not be connected; "" where that is not sure."""
        path = f"single/receivers/{receiver.id}/staged"
        return self.lack("connection", "write", path, device, CONNECTION)

    def lack(
        self, api: str, verb: Verb, path: str, device: Device | None, types: tuple[str, ...]
    ) -> str:
        """Return why a request to a Device surely is refused; "" where that is not sure."""
        if device is None:
            return "The Registry does not have its Device."
        controls = [each for each in device.controls if each.type in types]
        if not controls:
            return f"Its Device has no {api} API."
        reasons = []
        for each in controls:
            if not each.authorization:
                return ""
            reasons.append(self.permissions.lack(api, verb, path, each.href))
        return "" if "" in reasons else reasons[0]

    @contextlib.contextmanager
    def watched(self) -> Iterator[Watcher | None]:
        """Yield what is told of everything that changes from now on; None for one too many."""
        if len(self._watchers) >= MOST_WATCHERS:
            yield None
            return
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    @property
    def is_idle(self) -> bool:
        """Whether no page shows it, and nothing is under way."""
        return not self._watchers and not self.changes.under_way()

    async def aclose(self) -> None:
        """End all that goes on, and what pages are told."""
        self.ended.set()
        self._tell_all()
        await self.stop()

    async def stop(self) -> None:
        """Follow and ask nobody any more."""
        await self.follower.stop()
        await self.events.aclose()
        await self.reach.aclose()

    def _touched(self, rows: Collection[Row]) -> None:
        for row in rows:
            if row.kind == "receivers":
                self.changes.registry_shows(self.plant.receivers.get(row.id))
        for watcher in self._watchers:
            watcher.rows.update(rows)
            watcher.news.set()

    def _changed(self, receiver_id: str) -> None:
        row = Row("receivers", receiver_id)
        for watcher in self._watchers:
            watcher.rows.add(row)
            watcher.news.set()

    def _valued(self, sender_id: str) -> None:
        for watcher in self._watchers:
            watcher.values.add(sender_id)
            watcher.news.set()

    def _tell_all(self) -> None:
        for watcher in self._watchers:
            watcher.news.set()


def _permissions(token: HeldToken, hosts: TokenHosts) -> Permissions:
    # It is asked for each row, and reads the token each time.
    @functools.lru_cache(maxsize=MOST_HREFS)
    def goes_to(href: str) -> bool:
        # A URL that gets no token at all is refused in other words.
        return href not in hosts or hosts.permits(href, token)

    return Permissions(token.claims_hint(), goes_to)


class NamedRegistry:
    """Gives tokens to the host of a registry that the operator named, at any port.

    The WebSockets of a Query API may have a port of their own, as those of sony/nmos-cpp have.

    Args:
        registry: `https://HOST[:PORT]`.
        allow_http: http is allowed too, for development.
    """

    def __init__(self, registry: str, *, allow_http: bool) -> None:
        self._host = Origin.parse(registry).host
        self._schemes = {"https", "http"} if allow_http else {"https"}

    def __contains__(self, url: object) -> bool:
        try:
            origin = Origin.of(str(url))
        except ValueError:
            return False
        return origin.host == self._host and origin.scheme in self._schemes

    def permits(self, url: str, token: HeldToken) -> bool:  # noqa: ARG002 - whatever token it is
        """Tell whether a URL gets this token."""
        return url in self


def _recipients(around: Surroundings) -> Callable[[str], Recipients]:
    """Return what tells which URLs of a registry get the token.

    One that the operator named gets it. One that DNS-SD found gets it where the token is for it:
    by multicast DNS anything on the link may call itself a registry.
    """

    def of(registry: str) -> Recipients:
        if registry in around.named:
            return NamedRegistry(registry, allow_http=around.allow_http)
        return around.hosts

    return of
