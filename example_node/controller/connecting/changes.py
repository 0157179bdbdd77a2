"""What is under way for each Receiver, until its Node and the Registry agree."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from example_node.controller.connecting.outcome import Outcome, Result
from example_node.controller.plant import Receiver

MOST_REMEMBERED = 5000
_MOST_ENTRIES = 1000
# What the Registry completes, once it shows the change.
_EXPECTED = frozenset({Outcome.AGREED, Outcome.SCHEDULED, Outcome.UNKNOWN})


@dataclass(frozen=True)
class Change:
    """A change of one Receiver that was asked for here.

    Attributes:
        sender_id: the Sender that is wanted; None for none.
        aim: what was asked for, as the beginning of a sentence.
        version: the Receiver's version when it was asked for.
        result: what has become of it.
        before: the Receiver's `active` before; None where it is not known.
    """

    sender_id: str | None
    aim: str
    version: str
    result: Result
    before: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Who asked for what, and what came of it."""

    at: float
    who: str
    what: str
    where: str
    result: Result


class ConnectionLog:
    """What all users of this Controller asked for lately."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=_MOST_ENTRIES)

    def add(self, who: str, what: str, where: str, result: Result) -> None:
        """Add an entry."""
        self._entries.appendleft(LogEntry(time.time(), who, what, where, result))

    def entries(self) -> list[LogEntry]:
        """Return them, the latest first."""
        return list(self._entries)


class Changes:
    """The last change of each Receiver.

    Args:
        on_change: called with the id of a Receiver of which something else is to be shown.
    """

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self._changes: OrderedDict[str, Change] = OrderedDict()

    def get(self, receiver_id: str) -> Change | None:
        """Return the last change of a Receiver, if there was one."""
        return self._changes.get(receiver_id)

    def under_way(self) -> int:
        """Count the changes of which more will come."""
        return sum(not each.result.outcome.is_over for each in self._changes.values())

    def begin(self, receiver: Receiver, sender_id: str | None, aim: str) -> bool:
        """Take note that a change begins; False where one is under way still."""
        known = self._changes.get(receiver.id)
        if known is not None and known.result.outcome in {Outcome.SENDING, Outcome.WAITING}:
            return False
        before = None if known is None else known.before
        self._changes[receiver.id] = Change(
            sender_id, aim, receiver.version, Result(Outcome.SENDING, "Asking the Node …"), before
        )
        self._changes.move_to_end(receiver.id)
        while len(self._changes) > MOST_REMEMBERED:
            self._changes.popitem(last=False)
        self._on_change(receiver.id)
        return True

    def settle(
        self, receiver_id: str, result: Result, before: Mapping[str, object] | None = None
    ) -> None:
        """Take note of what has become of a change; of one that is forgotten there is none.

        Args:
            receiver_id: of which Receiver.
            result: what.
            before: its `active` before, where that is what Undo restores from now on.
        """
        change = self._changes.get(receiver_id)
        if change is None:
            return
        self._changes[receiver_id] = replace(
            change, result=result, before=change.before if before is None else before
        )
        self._on_change(receiver_id)

    def registry_shows(self, receiver: Receiver | None) -> None:
        """Compare what the Registry shows of a Receiver with what its Node was asked for."""
        change = None if receiver is None else self._changes.get(receiver.id)
        if receiver is None or change is None or change.result.outcome not in _EXPECTED:
            return
        if receiver.version != change.version and receiver.connected_to == change.sender_id:
            self.settle(receiver.id, self._done(change))

    def note(self, receiver_id: str) -> tuple[str, str]:
        """Return what has become of a Receiver's change: in a word, and for the user."""
        change = self._changes.get(receiver_id)
        return ("", "") if change is None else (change.result.outcome, change.result.text)

    @staticmethod
    def _done(change: Change) -> Result:
        took = change.result.milliseconds
        duration = "" if took is None else f" ({took} ms)"
        return replace(change.result, outcome=Outcome.DONE, text=f"{change.aim}{duration}")
