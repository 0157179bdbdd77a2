"""Keeps the Node registered: the loop that asks `behaviour` what to do, and does it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from example_node.registration.behaviour import (
    Lost,
    Refused,
    Register,
    RegistryAnswer,
    Request,
    Standing,
    Wait,
    after,
    farewell,
    next_step,
)
from example_node.registration.failover import FailOver
from example_node.registration.records import records_of
from example_node.registration.registries import Registries
from example_node.registration.registry_client import NoTokenError, RegistryClient
from example_node.resources import Resources

logger = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 5.0
# Seconds after the last heartbeat until a registry forgets a Node (IS-04 "Behaviour:
# Registration", Heartbeating).
GARBAGE_COLLECTION = 12.0
PAUSE_WITHOUT_TOKEN = 1.0
PAUSE_AFTER_MISHAP = 10.0
# Seconds for a controlled unregistration, and the part of them that is kept for the Node itself.
LEAVING = 3.0
LEAVING_NODE = 1.0


class Registrar:
    """Registers the Node's resources, follows their changes, and deletes them at the end.

    It never ends by itself, whatever registries do, and the Node's APIs do not depend on any. It
    stays with one registry as long as that answers, even if a more preferred one appears or DNS no
    longer names it.

    Args:
        resources: what to register.
        registries: the registries to use.
        client: sends the requests.
        interval: seconds between heartbeats.
    """

    def __init__(
        self,
        resources: Resources,
        registries: Registries,
        client: RegistryClient,
        *,
        interval: float = HEARTBEAT_INTERVAL,
    ) -> None:
        self._resources = resources
        self._registries = registries
        self._client = client
        self._interval = interval
        self._fail_over = FailOver()
        self._registry: str | None = None
        self._standing = Standing()
        # The version of the Node that each registry refuses.
        self._refused: dict[str, str] = {}
        self._woken = asyncio.Event()
        self._without_token = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the Node registered until the block ends, then unregister it."""
        self._resources.watch(self._woken.set)
        self._registries.start(self._woken.set)
        task = asyncio.create_task(self._run(), name="registration")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._registries.stop()
            await self._leave()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception:  # nothing that comes from the network may stop this
                logger.exception("unexpected while registering")
                await asyncio.sleep(PAUSE_AFTER_MISHAP)

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._registry is None and not self._choose(now):
            resumes_at = self._fail_over.resumes_at(self._usable())
            await self._pause(None if resumes_at is None else resumes_at - now)
            return
        assert self._registry is not None  # noqa: S101 - one was chosen
        step = next_step(self._standing, records_of(self._resources), now)
        if isinstance(step, Wait):
            self._fail_over.settled()
            await self._pause(step.until - now)
            return
        try:
            answer = await self._client.send(self._registry, step)
        except NoTokenError as error:
            self._say_without_token(error)
            await asyncio.sleep(PAUSE_WITHOUT_TOKEN)
            return
        self._without_token = False
        self._take(self._registry, step, answer, now)

    def _usable(self) -> list[str]:
        version = self._resources.node.version
        return [each for each in self._registries.known() if self._refused.get(each) != version]

    def _choose(self, now: float) -> bool:
        self._registry = self._fail_over.choose(self._usable(), now)
        return self._registry is not None

    async def _pause(self, seconds: float | None) -> None:
        """Wait for so long, or until a resource or the known registries have changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    def _take(self, registry: str, step: Request, answer: RegistryAnswer, sent: float) -> None:
        outcome = after(self._standing, step, answer, sent, self._interval)
        if isinstance(outcome, Standing):
            self._log(registry, step, answer, outcome)
            self._standing = outcome
            return
        level = logging.DEBUG if self._fail_over.backs_off else logging.WARNING
        logger.log(level, "%s: %s", registry, outcome.why)
        match outcome:
            case Lost(denied=denied):
                now = asyncio.get_running_loop().time()
                last_heartbeat = self._standing.heartbeat_due - self._interval
                self._fail_over.failed(
                    registry,
                    self._usable(),
                    now,
                    denied=denied,
                    held_until=last_heartbeat + GARBAGE_COLLECTION,
                )
                self._registries.doubt(registry)
            case Refused():
                known = self._registries.known()
                self._refused = {key: each for key, each in self._refused.items() if key in known}
                self._refused[registry] = self._resources.node.version
        self._registry = None
        self._standing = self._standing.at_another()

    def _log(self, registry: str, step: Request, answer: RegistryAnswer, outcome: Standing) -> None:
        if outcome.rejected - self._standing.rejected and isinstance(step, Register):
            kind, resource_id = step.record.kind, step.record.id
            logger.error("%s rejects %s %s: %s", registry, kind, resource_id, answer.detail)
        elif outcome.phase is not self._standing.phase:
            logger.info("%s: %s", registry, outcome.phase.name.lower())

    def _say_without_token(self, error: NoTokenError) -> None:
        if not self._without_token:
            logger.warning("not registered without a token: %s", error)
        self._without_token = True

    async def _leave(self) -> None:
        """Unregister, as far as time and the registry permit."""
        steps = farewell(self._standing)
        if self._registry is None or not steps:
            return
        with contextlib.suppress(NoTokenError):
            try:
                async with asyncio.timeout(LEAVING - LEAVING_NODE):
                    for step in steps:
                        answer = await self._client.send(self._registry, step)
                        if answer.status is None or answer.status >= 500:
                            return
            except TimeoutError:
                # A registry removes what belongs to a Node together with it.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEAVING_NODE):
                        await self._client.send(self._registry, steps[-1])
        logger.info("%s: unregistered", self._registry)
