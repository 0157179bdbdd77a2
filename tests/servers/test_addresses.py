"""Which addresses of a host are connected to, how soon, and what look-ups may hold up."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from nmos_auth.errors import FetchError
from nmos_auth.servers.addresses import TcpConnector
from nmos_auth.servers.http import HttpClient
from tests.support.tls import TestAuthority

HOST = "a.example"
Answer = Callable[[str], Sequence[str]]
Answering = Callable[[Answer], None]


def found(address: str, port: int) -> object:
    """Write an address as `getaddrinfo` does."""
    is_v6 = ":" in address
    place = (address, port, 0, 0) if is_v6 else (address, port)
    return socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM, 6, "", place


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Return what lets a function stand for this machine's DNS."""

    def answer(addresses: Answer) -> None:
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, port, **_: [found(each, port) for each in addresses(host)],
        )

    return answer


@pytest.fixture
def mute(answering: Answering) -> Iterator[threading.Semaphore]:
    """Let no name be answered until the test ends; released once for each look-up."""
    asked, ended = threading.Semaphore(0), threading.Event()

    def answer(_: str) -> Sequence[str]:
        asked.release()
        ended.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    answering(answer)
    yield asked
    ended.set()


@pytest.fixture
def port() -> Iterator[int]:
    """Listen on 127.0.0.1, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextlib.contextmanager
def full(address: str, port: int) -> Iterator[None]:
    """Keep an address from answering: what listens there accepts nothing, and its queue is full."""
    with contextlib.ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect((address, port))
        yield


def lookups() -> list[threading.Thread]:
    """Return the threads in which names are looked up."""
    return [each for each in threading.enumerate() if each.name == "nmos_auth look-up"]


# Addresses


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["127.0.0.9", "127.0.0.1"], id="refused"),
        pytest.param(["::1", "127.0.0.1"], id="refused in the other family"),
        pytest.param([f"100::{n}" for n in range(64)] + ["127.0.0.1"], id="many of one family"),
        pytest.param(["127.0.0.1"], id="one"),
    ],
)
async def test_another_address_is_tried(
    addresses: list[str], answering: Answering, port: int
) -> None:
    """A host may have addresses at which nothing listens; one family does not keep out another."""
    answering(lambda _: addresses)
    with await TcpConnector().connect(HOST, port, 20) as connected:
        assert connected.getpeername() == ("127.0.0.1", port)


async def test_addresses_that_do_not_answer_leave_time_for_others(
    answering: Answering, port: int
) -> None:
    """RFC 8305 Section 5: the next attempt begins while the last one is under way."""
    silent = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    answering(lambda _: [*silent, "127.0.0.1"])
    with contextlib.ExitStack() as held:
        for each in silent:
            held.enter_context(full(each, port))
        # None of them answers within the time, however it is shared.
        with await TcpConnector().connect(HOST, port, 20) as connected:
            assert connected.getpeername() == ("127.0.0.1", port)


async def test_a_host_whose_addresses_do_not_answer_is_given_up(answering: Answering) -> None:
    """That takes no longer than the time for the look-up and the connection together."""
    answering(lambda _: ["127.0.0.2"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with full("127.0.0.2", port), pytest.raises(TimeoutError):
        await TcpConnector().connect(HOST, port, 0.05)


async def test_no_more_than_a_few_addresses_are_tried(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's DNS makes a port scanner of this machine."""
    tried: list[str] = []

    async def refuse(_: object, __: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", refuse)
    answering(lambda _: [f"198.51.100.{n}" for n in range(200)])
    with pytest.raises(ConnectionRefusedError):
        await TcpConnector().connect(HOST, 443, 20)
    assert len(tried) == 4


async def test_only_permitted_addresses_are_connected_to(answering: Answering, port: int) -> None:
    """Of a host with both, the permitted one; of others, none. The host is looked up once."""
    asked: list[str] = []
    answers = {HOST: ["127.0.0.1", "127.0.0.5"], "only.example": ["::ffff:127.0.0.1"]}

    def answer(host: str) -> Sequence[str]:
        asked.append(host)
        return answers[host]

    answering(answer)
    connector = TcpConnector(lambda address: address != ipaddress.ip_address("127.0.0.1"))
    with (
        socket.create_server(("127.0.0.5", port)),
        await connector.connect(HOST, port, 20) as connected,
    ):
        assert connected.getpeername() == ("127.0.0.5", port)
    with pytest.raises(OSError, match="no address that may be connected to"):
        await connector.connect("only.example", port, 20)
    assert asked == [HOST, "only.example"]


async def test_a_zone_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4007: an address of a link means nothing without its interface."""
    tried: list[object] = []

    async def refuse(_: object, __: socket.socket, address: object) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    place = ("fe80::1", 443, 0, 7)
    inet6 = socket.AF_INET6, socket.SOCK_STREAM, 6, ""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(*inet6, place)])
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", refuse)
    with pytest.raises(ConnectionRefusedError):
        await TcpConnector().connect(HOST, 443, 20)
    assert tried == [place]


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example", "a\0b", "\udc80.example"])
async def test_a_name_that_cannot_be_looked_up_is_an_error_like_others(host: str) -> None:
    """Python's IDNA refuses such names with a UnicodeError, or C with a ValueError."""
    with pytest.raises(OSError, match=r"^a|^\udc80"):
        await TcpConnector().connect(host, 443, 20)


# Look-ups


async def test_names_that_nobody_answers_for_leave_the_threads_to_the_app(
    tls: TestAuthority, mute: threading.Semaphore
) -> None:
    """All look-ups wait, and those who use the threads of the event loop do not."""
    client = HttpClient(tls.client_context(), deadline=60, connect_deadline=60, most_connections=64)
    names = [f"https://mute{number}.invalid/" for number in range(64)]
    asking = asyncio.gather(*map(client.get_json, names), return_exceptions=True)
    for _ in names:
        assert await asyncio.to_thread(mute.acquire, timeout=20)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await client.aclose()


async def test_a_look_up_that_takes_too_long_is_called_that(
    tls: TestAuthority, mute: threading.Semaphore
) -> None:
    """Nothing was connected to yet, so TLS is not what to check."""
    client = HttpClient(tls.client_context(), connect_deadline=0.05)
    with pytest.raises(FetchError, match=r"the look-up of a\.invalid .* DNS servers$") as raised:
        await client.get_json("https://a.invalid/")
    assert mute.acquire(blocking=False)
    assert raised.value.sent is False
    await client.aclose()


async def test_a_name_is_looked_up_once_for_all_who_wait(mute: threading.Semaphore) -> None:
    """However often a name is tried that nobody answers for, it has one thread."""
    connector = TcpConnector()
    for _ in range(5):
        with pytest.raises(OSError, match="look-up"):
            await connector.connect(HOST, 443, 0.01)
    assert mute.acquire(blocking=False)
    assert not mute.acquire(blocking=False)


async def test_look_ups_are_bounded(mute: threading.Semaphore) -> None:
    """Names beyond the bound are an error, and begin no thread."""
    connector, before = TcpConnector(), len(lookups())
    asking = [asyncio.create_task(connector.connect(f"{n}.example", 443)) for n in range(128)]
    for _ in asking:
        assert await asyncio.to_thread(mute.acquire, timeout=20)
    with pytest.raises(OSError, match="128 other names"):
        await connector.connect(HOST, 443, 20)
    assert len(lookups()) <= before + 128
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_threads_end_with_their_look_ups(answering: Answering, port: int) -> None:
    """Clients may come and go; nothing needs to be closed."""
    answering(lambda _: ["127.0.0.1"])
    for _ in range(20):
        (await TcpConnector().connect(HOST, port, 20)).close()
    for each in lookups():
        await asyncio.to_thread(each.join, 20)
        assert not each.is_alive()


def test_the_end_of_the_process_waits_for_no_look_up() -> None:
    """Nor does the end of an event loop."""
    program = """
import asyncio, socket, threading
from nmos_auth.servers.addresses import TcpConnector
socket.getaddrinfo = lambda *_, **__: threading.Event().wait(60)
async def main():
    asyncio.create_task(TcpConnector().connect("a.example", 443))
    await asyncio.sleep(0.05)
asyncio.run(main())
"""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert time.monotonic() - began < 50
