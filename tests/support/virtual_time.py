"""An event loop whose time passes at once, and Authorization Servers made of dictionaries."""

from __future__ import annotations

import asyncio
import copy
import functools
import selectors
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import ParamSpec

from nmos_auth import Settings
from nmos_auth.errors import AuthorizationError, FetchError, KeysUnavailable
from nmos_auth.servers.answers import Document
from nmos_auth.trust.jwks import parse_jwks
from nmos_auth.trust.key_store import KeyStore
from nmos_auth.trust.keys_file import KeptKeys, KeysFile
from nmos_auth.trust.verifier import Verifier
from tests.support.authority import FakeAuthorizationServer
from tests.support.tokens import signing_key

__all__ = ["HOUR", "Documents", "Resource", "VirtualTimeLoop", "a_server", "in_virtual_time"]

HOUR = 3600.0
_LONGEST_THREAD = 10.0
_DEADLINE = 5.0

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):
    """Waits for nothing: what it would have waited is added to `now`."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            # Only a thread, one that saves a file say, can still make something happen.
            ready = super().select(_LONGEST_THREAD)
            if not ready:
                raise RuntimeError("nothing will ever happen again in this test")
            return ready
        self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next thing to do instead of waiting for it."""

    def __init__(self) -> None:
        self._clockwork = _Selector()
        super().__init__(self._clockwork)

    def time(self) -> float:
        """Return seconds of its own time."""
        return self._clockwork.now

    if sys.version_info >= (3, 12):

        async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - its signature
            """Wait for threads as long as they last: they live in real time."""
            await super().shutdown_default_executor(None)


def in_virtual_time(scene: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Make a test of a scene to be played on such a loop."""

    @functools.wraps(scene)
    def play(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(scene(*args, **kwargs))

    return play


def a_server(
    *keys: int, host: str = "auth.example.com", port: int = 443, path: str = ""
) -> FakeAuthorizationServer:
    """Return an Authorization Server that does not run."""
    held = [signing_key(number) for number in keys or (0,)]
    return FakeAuthorizationServer(held, host=host, port=port, path=path)


class _Hanging(FetchError):
    pass


@dataclass
class Documents:
    """A document client that answers from memory, and knows when it was asked for what.

    Attributes:
        by_url: what it answers; an exception is raised; what is not there is a 404.
        latency: seconds that each answer takes.
        asked: time on the loop's clock and URL of every request.
        closed: how many times it was closed.
    """

    by_url: dict[str, dict[str, object] | Document | Exception] = field(default_factory=dict)
    latency: float = 0
    asked: list[tuple[float, str]] = field(default_factory=list)
    closed: int = 0

    async def get_document(self, url: str) -> Document:
        """Answer one request."""
        self.asked.append((asyncio.get_running_loop().time(), url))
        await asyncio.sleep(self.latency)
        document = self.by_url.get(url, FetchError("404", status=404))
        if isinstance(document, _Hanging):
            await asyncio.sleep(_DEADLINE)
        if isinstance(document, Exception):
            raise copy.copy(document)
        return document if isinstance(document, Document) else Document(document)

    async def aclose(self) -> None:
        """Count this."""
        self.closed += 1

    def publish(self, server: FakeAuthorizationServer, **metadata: object) -> None:
        """Answer for a server, as it stands, with changes to its metadata."""
        self.by_url[_metadata_url(server)] = server.metadata(**metadata)
        self.by_url[f"{server.issuer}/jwks"] = server.jwks()

    def fail(self, server: FakeAuthorizationServer) -> None:
        """Answer for a server no more."""
        self.by_url[_metadata_url(server)] = FetchError("503", status=503)

    def hang(self, server: FakeAuthorizationServer) -> None:
        """Answer for a server only when its time is over, as the real client does."""
        self.by_url[_metadata_url(server)] = _Hanging("no answer in time")

    def times_of(self, server: FakeAuthorizationServer) -> list[float]:
        """Return the times at which a fetch from a server began."""
        return [when for when, url in self.asked if url == _metadata_url(server)]


async def _at_once(save: Callable[[KeptKeys], bool], kept: KeptKeys) -> bool:
    return save(kept)


def _metadata_url(server: FakeAuthorizationServer) -> str:
    return f"https://{server.host}:{server.port}{server.metadata_path}"


@dataclass
class Resource:
    """What stands between tokens and documents."""

    documents: Documents
    keys: KeyStore
    verifier: Verifier

    @classmethod
    def create(
        cls,
        documents: Documents,
        settings: Settings,
        *,
        static: Iterable[FakeAuthorizationServer] = (),
        clock: Callable[[], float] = time.time,
    ) -> Resource:
        """Make one that runs on the time of the loop that is running.

        Args:
            documents: answers its requests.
            settings: whom it trusts.
            static: servers that it trusts, and whose keys it has from a file.
            clock: seconds since 1970 UTC.
        """
        now = asyncio.get_running_loop().time
        static_keys = {each.issuer: parse_jwks(each.jwks()).keys for each in static}
        keys = KeyStore(
            settings,
            lambda: documents,
            kept=None if settings.keys_file is None else KeysFile(settings.keys_file),
            static_keys=static_keys,
            monotonic=now,
            clock=clock,
            in_thread=_at_once,
        )
        verifier = Verifier(keys, settings.audience, settings.leeway, clock=clock)
        return cls(documents, keys, verifier)

    def answer(self, token: str, peer: str = "192.0.2.1") -> int:
        """Return the status with which a request with this token would be answered."""
        try:
            self.verifier.verify(token.encode(), peer)
        except AuthorizationError as error:
            return error.status
        return 200

    def retry_after(self, token: str) -> int:
        """Return after how many seconds a request that is answered 503 may come again."""
        try:
            self.verifier.verify(token.encode())
        except KeysUnavailable as error:
            return error.retry_after
        raise AssertionError("not answered 503")

    async def answer_after_fetch(self, token: str) -> int:
        """Return the status as soon as no fetch is under way for this token."""
        while (status := self.answer(token)) == 503:  # noqa: ASYNC110 - on virtual time
            await asyncio.sleep(0.01)
        return status
