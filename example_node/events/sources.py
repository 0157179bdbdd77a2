"""The Sources of events: each has a state, and informs its watchers when that changes."""

from collections.abc import Callable

from example_node.clock import Clock
from example_node.events.event_types import Payload, TypeDefinition
from example_node.events.messages import Identity, State, Timing

Watcher = Callable[[State], None]


class EventSource:
    """One Source, with its Flow and Sender as far as they matter for events.

    Args:
        source_id: the id that the Source has in the Node API too.
        flow_id: the Flow that its events are sent as.
        event_type: the type of its events.
        definition: the values that they can have, which never changes.
        payload: the first value.
        clock: the Node's clock.

    Raises:
        ValueError: the value is not one that the definition allows; so does `change`.
    """

    def __init__(
        self,
        source_id: str,
        flow_id: str,
        *,
        event_type: str,
        definition: TypeDefinition,
        payload: Payload,
        clock: Clock,
    ) -> None:
        self.id = source_id
        self.event_type = event_type
        self.definition = definition
        self._flow_id = flow_id
        self._clock = clock
        self._active = False
        self._watchers: set[Watcher] = set()
        self.state = self._made(payload)

    def change(self, payload: Payload) -> None:
        """Change the value, and inform the watchers; the same value again is not an event."""
        if payload != self.state.payload:
            self.state = self._made(payload)
            self._tell()

    def activate(self, *, active: bool) -> None:
        """Follow the Sender: while it is disabled, states only leave the Node through REST."""
        self._active = active
        self._tell()

    def watch(self, watcher: Watcher) -> None:
        """Inform a watcher of the present state, and of every change until `unwatch`."""
        self._watchers.add(watcher)
        if self._active:
            watcher(self._sent())

    def unwatch(self, watcher: Watcher) -> None:
        """Stop informing a watcher."""
        self._watchers.discard(watcher)

    def _made(self, payload: Payload) -> State:
        if not self.definition.allows(payload):
            raise ValueError(f"{payload} is not of the type {self.event_type}")
        return State(
            identity=Identity(source_id=self.id),
            event_type=self.event_type,
            timing=Timing(creation_timestamp=str(self._clock.now())),
            payload=payload,
        )

    def _sent(self) -> State:
        identity = Identity(source_id=self.id, flow_id=self._flow_id)
        return self.state.model_copy(update={"identity": identity})

    def _tell(self) -> None:
        if self._active:
            message = self._sent()
            for watcher in tuple(self._watchers):
                watcher(message)
