"""One history of Clients: what happens by chance, and what holds whatever happens."""

from __future__ import annotations

import asyncio
import bisect
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from nmos_auth.client import ClientError, ClientSettings, LoginRequired
from nmos_auth.client.store.stores import AUTHORIZATIONS
from tests.simulation.client_server import ISSUER, Family, Habits, SimulatedServer, Trouble
from tests.simulation.client_world import Machine, Process, SimulationLoop

__all__ = ["History", "play"]

# Seconds by which every await of a caller ends: a lock's patience, and an exchange or two.
_LONGEST = 150.0
# Seconds for which the error of the last attempt is told, where the next one asks no server.
_HELD = 10.0
# Requests that a process sends to its server in any minute at most, however it goes.
_MOST_A_MINUTE = 40
_TROUBLES: tuple[Trouble | None, ...] = (
    "down",
    "503",
    "429",
    "invalid_client",
    "html",
    "giant",
    "lost",
)


def play(seed: int, steps: int = 60) -> History:
    """Play the history of a seed, and return it with what went wrong."""
    random.seed(seed)
    history = History(seed, steps)
    with (
        _said(history.texts),
        asyncio.Runner(loop_factory=SimulationLoop) as runner,
    ):
        runner.get_loop().set_exception_handler(lambda _loop, _context: None)
        runner.run(history.play())
    return history


@contextmanager
def _said(texts: list[str]) -> Iterator[None]:
    """Collect whatever is logged."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    logger = logging.getLogger("nmos_auth")
    handler, level, propagates = Handler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


class History:
    """What happens to a machine, its processes, its user and a server.

    Args:
        seed: decides everything.
        steps: how many things happen.

    Attributes:
        violations: what went wrong, in words.
        events: what happened, for whoever has to find out why.
        texts: what was logged, and what errors said.
    """

    def __init__(self, seed: int, steps: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - to be the same with every run
        self.steps = steps
        self.violations: list[str] = []
        self.events: list[str] = []
        self.texts: list[str] = []
        self.grant: Family | None = None
        self.granted_at = 0.0
        self._unknown = False
        self._logins = 0
        self.causes = 0
        self._number = 1
        self._asking: set[asyncio.Task[None]] = set()
        self._users = self.chance.random() < 0.7
        self._unwritten: set[tuple[int, str]] = set()

    async def play(self) -> None:
        """Play it to the end."""
        chance = self.chance
        habits = Habits(
            rotates=chance.random() < 0.85,
            management=chance.choice(["none", "plain", "rotating", "404", "401", "relative"]),
            update=chance.choice([200, 204, 405, 501]),
        )
        self.server = SimulatedServer(habits, chance)
        self.machine = Machine(self.server)
        self._note(f"{habits}, users: {self._users}")
        self._start()
        if self._users:
            await self._log_in()
        for _ in range(self.steps):
            await self._happen()
            await asyncio.sleep(chance.choice([0.0, 0.05, 0.3, 1.0, 5.0, 40.0, 400.0]))
        await self._finale()
        self._check_requests()
        self._check_texts()
        self.violations += self.server.complaints

    # What happens

    async def _happen(self) -> None:
        happenings: list[tuple[int, Callable[[], Coroutine[object, object, None]]]] = [
            (30, self._ask),
            (6, self._ask_and_leave),
            (6, self._start_another),
            (6, self._close),
            (4, self._kill),
            (8, self._trouble),
            (8, self._good_order),
            (3, self._fill),
            (5, self._fill_meanwhile),
            (12, self._ask_and_end),
            (4, self._make_room),
            (3, self._set_clock),
            (4, self._change_name),
            (1, self._forget),
        ]
        if self._users:
            happenings += [(4, self._log_in), (1, self._log_out), (4, self._log_in_meanwhile)]
        weights = [weight for weight, _ in happenings]
        (happening,) = self.chance.choices([each for _, each in happenings], weights)
        self._note(happening.__name__)
        await happening()
        self._note_registrations_in_memory()

    async def _ask(self) -> None:
        process = self._some_process()
        for _ in range(self.chance.randint(1, 5)):
            self._begin_asking(process)

    async def _ask_and_leave(self) -> None:
        process = self._some_process()
        task = self._begin_asking(process, leaves=True)
        await asyncio.sleep(self.chance.uniform(0, 1))
        task.cancel()

    async def _start_another(self) -> None:
        if len(self.machine.processes) < 4:
            self._start()

    async def _close(self) -> None:
        process = self._some_process()
        self.machine.remove(process)
        try:
            async with asyncio.timeout(_LONGEST):
                await process.close()
        except TimeoutError:
            self.violations.append("closing did not end")
        self._note_unwritten(process)

    async def _kill(self) -> None:
        process = self._some_process()
        if any("/register" in each.url for each in process.in_flight):
            self.causes += 1
        self._note_unwritten(process)
        process.kill()
        self.machine.remove(process)
        await asyncio.sleep(0)

    async def _trouble(self) -> None:
        self.server.trouble = self.chance.choice(_TROUBLES)
        self.server.slow = self.chance.random() < 0.5
        self._note(str(self.server.trouble))

    async def _good_order(self) -> None:
        self.server.trouble = None
        self.server.slow = self.chance.random() < 0.3

    async def _fill(self) -> None:
        self.machine.disk.full = True

    async def _fill_meanwhile(self) -> None:
        """Fill the disk while a process that has no token yet is being given one."""
        self._begin_asking(self._start())
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        self.machine.disk.full = True

    async def _ask_and_end(self) -> None:
        """End a process that has just begun, in one of the ways in which programs end."""
        process = self._start()
        direct = self.chance.random() < 0.5
        task = self._begin_asking(process, leaves=True, directly=direct)
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        if direct:
            task.cancel()
        self.machine.remove(process)
        await process.close()
        self._note_unwritten(process)
        if self.chance.random() < 0.5:
            # Longer than the server takes the token that it has replaced.
            await asyncio.sleep(60)
            self._begin_asking(self._start())

    async def _make_room(self) -> None:
        self.machine.disk.full = False

    async def _set_clock(self) -> None:
        self.machine.set_ahead += self.chance.choice([-3600.0, -120.0, 120.0, 3600.0, 86400.0])
        # Whoever goes by the time of day no longer knows how long an hour was.
        self.causes += 1

    async def _change_name(self) -> None:
        # Processes that run keep their settings, and register by them when they have to.
        self._number += 1
        self.causes += 1 + len(self.machine.processes)
        process = self._start()
        # As a login does that somebody begins and does not end.
        registering = process.start(self._registering(process))
        await asyncio.wait({registering})

    async def _registering(self, process: Process) -> None:
        try:
            await process.client.servers.at(ISSUER).registration()
        except ClientError as error:
            self.texts.append(str(error))

    async def _forget(self) -> None:
        self.server.forget_clients()
        self.causes += 1 + len(self.machine.processes)

    async def _log_in(self) -> None:
        """Have the user log in, as a command does it."""
        process = self._start(note=False)
        work = process.start(self._logging_in(process))
        await asyncio.wait({work})
        if not work.cancelled():
            work.result()
        self.machine.remove(process)
        await process.close()
        self._note_unwritten(process)

    async def _log_in_meanwhile(self) -> None:
        """Have the user log in while another process is about to be told that it has to."""
        if self.grant is not None and self.chance.random() < 0.5:
            self.grant.alive = False
        for process in (*self.machine.processes, self._start()):
            self._begin_asking(process)
        await asyncio.sleep(self.chance.uniform(0, 0.8))
        await self._log_in()

    async def _logging_in(self, process: Process) -> None:
        client = process.client
        at = client.servers.at(ISSUER)
        try:
            async with asyncio.timeout(_LONGEST):
                pending = await at.begin_authorization(client.settings.scope)
                if pending.client_id not in self.server.clients:
                    # The user is told that the client is unknown, and nobody else is.
                    self._unknown = True
                    return
                code = SecretStr(self.server.authorize(pending.client_id))
                authorization = client.authorization_at(at)
                granted = await authorization.complete(pending, code)
        except ClientError as error:
            self.texts.append(str(error))
            return
        except TimeoutError:
            self.violations.append("a login did not end")
            return
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.violations.append(f"{error.__class__.__name__} came out")
            return
        token = granted.refresh_token
        family = None if token is None else self.server.family_of(token.get_secret_value())
        if family is not None:
            self.grant = family
            self._logins += 1
            self.granted_at = asyncio.get_running_loop().time()

    async def _log_out(self) -> None:
        process = self._start(note=False)
        self.grant = None
        work = process.start(self._logging_out(process))
        await asyncio.wait({work})
        self.machine.remove(process)
        await process.close()

    async def _logging_out(self, process: Process) -> None:
        at = process.client.servers.at(ISSUER)
        try:
            await process.client.authorization_at(at).end()
        except ClientError as error:
            self.texts.append(str(error))

    def _begin_asking(
        self, process: Process, *, leaves: bool = False, directly: bool = False
    ) -> asyncio.Task[None]:
        task = process.start(self._ask_once(process, leaves=leaves, directly=directly))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    async def _ask_once(self, process: Process, *, leaves: bool, directly: bool) -> None:
        """Ask for a token, and check what comes of it."""
        try:
            async with asyncio.timeout(_LONGEST):
                if directly:
                    token = (await process.client.obtain()).access_token
                else:
                    token = (await process.client.tokens().token()).value
        except LoginRequired as error:
            self.texts.append(str(error))
            self._check_login_required(error)
        except ClientError as error:
            self.texts.append(str(error))
        except TimeoutError:
            self.violations.append("asking for a token did not end")
        except asyncio.CancelledError:
            if not (leaves or process.dead):
                self.violations.append("somebody was cancelled whom nobody cancelled")
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.violations.append(f"{error.__class__.__name__} came out")
        else:
            expiry = self.server.expiries[token.get_secret_value()]
            if expiry <= asyncio.get_running_loop().time():
                self.violations.append("a token that had expired was given out")

    # What holds

    def _check_login_required(self, error: LoginRequired) -> None:
        grant = self.grant
        if grant is None or not grant.alive or grant.lost:
            return
        now = asyncio.get_running_loop().time()
        if error.code == "invalid_client" or now - self.granted_at < _HELD:
            # A Client that is refused for long is told to log in, and its grant stays; and what
            # was true a moment ago is told for a moment.
            return
        self.violations.append(f"a live authorization was given up: {error}")

    async def _finale(self) -> None:
        """Put everything in order: what lives at the server is at the Client."""
        self.server.trouble, self.server.slow = None, False
        await self._make_room()
        for process in list(self.machine.processes):
            await self._close_now(process)
        await asyncio.sleep(120)
        if self._asking:
            self.violations.append("somebody still waits")
        process = self._start()
        grant = self.grant
        if self._users:
            if grant is not None and grant.alive and not grant.lost:
                await self._check_grant(process, grant)
            await self._check_login()
        else:
            await self._check_token(process)
        await process.start(self._settling(process))
        await asyncio.sleep(60)
        self._check_books(process)
        await process.close()

    async def _close_now(self, process: Process) -> None:
        self.machine.remove(process)
        await process.close()
        self._note_unwritten(process)

    async def _settling(self, process: Process) -> None:
        await process.client.servers.at(ISSUER).settle()

    async def _check_grant(self, process: Process, grant: Family) -> None:
        try:
            await process.start(process.client.obtain())
        except ClientError as error:
            self.violations.append(f"a live authorization is without its token: {error}")
            return
        record = self.machine.disk.records[AUTHORIZATIONS, ISSUER]
        if record.secret["refresh_token"] != grant.current:
            self.violations.append("the store has not the token that is good")

    async def _check_login(self) -> None:
        """Whatever happened before, the user can log in, or is told why not by the server."""
        logins, self._unknown = self._logins, False
        await self._log_in()
        if self._logins == logins and not self._unknown:
            self.violations.append("nobody can log in")

    async def _check_token(self, process: Process) -> None:
        """A Node gets a token within the hour and a bit, whatever happened before."""
        for _ in range(160):
            try:
                await process.start(process.client.obtain())
            except ClientError:
                await asyncio.sleep(30)
            except Exception as error:  # noqa: BLE001 - whatever it is
                self.violations.append(f"{error.__class__.__name__} came out")
                return
            else:
                return
        self.violations.append("no token for a Node in eighty minutes")

    def _check_books(self, process: Process) -> None:
        kept = process.client.servers.at(ISSUER)._enrolment._kept
        _, former = kept._load()
        record = self.machine.disk.records.get((AUTHORIZATIONS, ISSUER))
        belongs = None if record is None else record.public.get("client_id")
        for each in former:
            wanted = each.held_until > self.machine.clock() or not each.managed
            if each.client_id != belongs and not wanted:
                self.violations.append("a former registration is kept that no grant belongs to")
        # Ten minutes of `invalid_client` are a reason too, once an hour.
        hours = int(asyncio.get_running_loop().time() // 3600)
        reasons = self.causes + self.server.lost_registrations + len(self._unwritten) + hours
        if self.server.registered > 1 + reasons:
            self.violations.append(f"{self.server.registered} registrations, for {reasons} reasons")

    def _check_requests(self) -> None:
        times = [at for at, _ in self.server.asked]
        most = max(
            (bisect.bisect_right(times, at + 60) - number for number, at in enumerate(times)),
            default=0,
        )
        if most > 4 * _MOST_A_MINUTE:
            self.violations.append(f"{most} requests within a minute")

    def _check_texts(self) -> None:
        text = "\n".join(self.texts)
        for secret in self.server.secrets:
            if secret in text:
                self.violations.append(f"a secret was told: {secret}")

    # Odds and ends

    def _start(self, *, note: bool = True) -> Process:
        values: dict[str, object] = {
            "name": f"Client {self._number}",
            "scope": "query" if self._users else "registration",
            "servers": ISSUER,
            "discovery": "off",
            "auth_method": "client_secret_basic",
        }
        if self._users:
            values |= {
                "grant": "authorization_code",
                "redirect_uri": "https://client.example.com/callback",
            }
        if note:
            self._note("a process starts")
        return self.machine.start(ClientSettings(**values))

    def _some_process(self) -> Process:
        if not self.machine.processes:
            self._start()
        return self.chance.choice(self.machine.processes)

    def _note_unwritten(self, process: Process) -> None:
        """What could not be written for want of room ends with the process, as its log says."""
        unwritten = process.unwritten()
        if unwritten is not None:
            for family in self.server.families:
                family.lost |= family.current == unwritten.refresh_token.get_secret_value()
        self._note_registrations_in_memory(process)

    def _note_registrations_in_memory(self, *processes: Process) -> None:
        """Without room, each process may have one of its own."""
        for process in (*self.machine.processes, *processes):
            for server in process.client.servers._servers.values():
                changes = server._enrolment._kept._unwritten
                if changes is not None and changes.current is not None:
                    self._unwritten.add((id(process), changes.current))

    def _note(self, event: str) -> None:
        self.events.append(f"{asyncio.get_running_loop().time():10.2f} {event}")
