"""A machine for Clients: processes that can be killed, a disk that fills, clocks that are set."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nmos_auth.client import AuthorizationClient, ClientSettings, StoreError
from nmos_auth.client.http import Answer, HttpRequest
from nmos_auth.client.store.stores import Record
from nmos_auth.client.tokens.vaults import KeptGrant, StoreVault
from tests.simulation.client_server import SimulatedServer
from tests.support.virtual_time import VirtualTimeLoop

__all__ = ["Died", "Disk", "Machine", "Process", "SimulationLoop"]

T = TypeVar("T")

EPOCH = 1_800_000_000.0
_running: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
_LOCK_PATIENCE = 60.0
_LOCK_POLL = 0.05


class Died(BaseException):
    """The process is not there any more; nothing may catch this."""


class SimulationLoop(VirtualTimeLoop):
    """Runs what others run in threads at once, so that the order of everything is the seed's."""

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - asyncio's own
        func: Callable[..., T],
        *args: object,
    ) -> asyncio.Future[T]:
        """Run it now."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)
        return future


@dataclass
class Disk:
    """What outlives processes.

    Attributes:
        records: by kind and name.
        full: nothing can be written.
        locks: by purpose, whose it is.
    """

    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    full: bool = False
    version: int = 0
    locks: dict[str, tuple[Process, object]] = field(default_factory=dict)

    def check_room(self) -> None:
        """Raise what a full disk raises."""
        if self.full:
            raise StoreError("no space left on device", temporary=True)


class DiskStore:
    """A store on the disk, as one process sees it."""

    lasting = True

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def _disk(self) -> Disk:
        self._process.check_alive()
        return self._process.machine.disk

    def get(self, kind: str, name: str) -> Record | None:
        """Return a record, or None."""
        return self._disk.records.get((kind, name))

    def put(self, kind: str, name: str, record: Record) -> None:
        """Keep a record."""
        self.update(kind, name, lambda _: record)

    def remove(self, kind: str, name: str) -> None:
        """Forget a record."""
        self.update(kind, name, lambda _: None)

    def update(
        self, kind: str, name: str, change: Callable[[Record | None], Record | None]
    ) -> Record | None:
        """Put in a record's place what `change` makes of it."""
        disk = self._disk
        former = disk.records.get((kind, name))
        record = change(former)
        if record is former:
            return record
        disk.check_room()
        if record is None:
            del disk.records[kind, name]
        else:
            disk.records[kind, name] = record
        disk.version += 1
        return record

    def rehearse(self) -> None:
        """Find out whether there is room."""
        self._disk.check_room()

    def version(self) -> object:
        """Return the number of writes."""
        return self._disk.version

    @contextlib.asynccontextmanager
    async def alone(self, purpose: str) -> AsyncIterator[None]:
        """Keep everybody else out, as a file lock does: it goes with its process."""
        ticket = object()
        loop = asyncio.get_running_loop()
        ends = loop.time() + _LOCK_PATIENCE
        while purpose in self._disk.locks:
            if loop.time() >= ends:
                raise StoreError("in use by another process", temporary=True)
            await asyncio.sleep(_LOCK_POLL)
        self._disk.locks[purpose] = self._process, ticket
        try:
            yield
        finally:
            locks = self._process.machine.disk.locks
            if purpose in locks and locks[purpose][1] is ticket:
                del locks[purpose]


class Process:
    """A process with a Client in it.

    Args:
        machine: where it runs.
        settings: of its Client.
    """

    def __init__(self, machine: Machine, settings: ClientSettings) -> None:
        self.machine = machine
        self.settings = settings
        self.dead = False
        self.tasks: set[asyncio.Task[Any]] = set()
        self.in_flight: list[HttpRequest] = []
        self._left_alone_until = 0.0
        self._context = contextvars.copy_context()
        self._context.run(_running.set, self)
        self.client = self._context.run(self._make)

    def _make(self) -> AuthorizationClient:
        return AuthorizationClient(
            self.settings,
            transport=self,
            store=DiskStore(self),
            clock=self.machine.clock,
            monotonic=asyncio.get_running_loop().time,
        )

    def check_alive(self) -> None:
        """Let nothing happen in the name of a process that is not there any more."""
        if self.dead:
            raise Died

    def start(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run something in the process."""
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    async def send(self, request: HttpRequest) -> Answer:
        """Send a request of the Client."""
        self.check_alive()
        now = asyncio.get_running_loop().time()
        self._check_manners(request, now)
        self.in_flight.append(request)
        try:
            answer = await self.machine.server.send(request, lambda: self.dead)
        finally:
            self.in_flight.remove(request)
        if answer.retry_after is not None:
            self._left_alone_until = asyncio.get_running_loop().time() + answer.retry_after
        return answer

    def unwritten(self) -> KeptGrant | None:
        """Return the grant that is kept in memory, since there was no room for it."""
        vaults = [each._vault for each in self.client._authorizations.values()]
        kept = [each._unwritten for each in vaults if isinstance(each, StoreVault)]
        return next((each for each in kept if each is not None), None)

    def _check_manners(self, request: HttpRequest, now: float) -> None:
        complain = self.machine.server.complaints.append
        if now < self._left_alone_until and not request.url.endswith("/revoke"):
            complain("a server that asked to be left alone was asked")
        spends = b"grant_type=refresh_token" in request.content
        if spends and self.machine.disk.full and self.unwritten() is None:
            complain("a refresh token was spent though its successor could not be kept")

    async def close(self) -> None:
        """End it as a program ends that is told to."""
        await self.start(self.client.aclose())

    def kill(self) -> None:
        """End it as `kill -9` does: nothing of it happens any more."""
        self.dead = True
        locks = self.machine.disk.locks
        for purpose in [each for each, (owner, _) in locks.items() if owner is self]:
            del locks[purpose]
        for task in list(self.tasks):
            task.cancel()


class Machine:
    """A disk, a clock, and a server that is somewhere else.

    Args:
        server: the Authorization Server.
    """

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server
        self.disk = Disk()
        self.set_ahead = 0.0
        self.processes: list[Process] = []
        loop = asyncio.get_running_loop()
        self._time = loop.time
        loop.set_task_factory(_owned_task)

    def clock(self) -> float:
        """Return the time of day, as this machine has it."""
        return EPOCH + self._time() + self.set_ahead

    def start(self, settings: ClientSettings) -> Process:
        """Start a process."""
        process = Process(self, settings)
        self.processes.append(process)
        return process

    def remove(self, process: Process) -> None:
        """Forget a process that has ended."""
        self.processes.remove(process)


def _owned_task(
    loop: asyncio.AbstractEventLoop,
    coro: Any,  # noqa: ANN401 - as asyncio has it
    **options: Any,  # noqa: ANN401 - likewise
) -> asyncio.Task[Any]:
    """Make a task that its process knows, so that it can be killed with it."""
    context: contextvars.Context | None = options.get("context")
    process = context.get(_running) if context is not None else _running.get()
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        task.add_done_callback(_retrieve)
    return task


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
