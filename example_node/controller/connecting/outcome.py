"""What became of a change, and the words for it. Pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from example_node.controller.connecting.plan import Active, When
from example_node.controller.plant.resources import text
from example_node.controller.reach import Reply


class Outcome(StrEnum):
    """What became of a change, in a word."""

    SENDING = "sending"
    WAITING = "waiting"
    AGREED = "agreed"
    DONE = "done"
    SCHEDULED = "scheduled"
    REFUSED = "refused"
    LOCKED = "locked"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self not in {Outcome.SENDING, Outcome.WAITING, Outcome.AGREED}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a change.

    Attributes:
        outcome: in a word.
        text: for the user.
        status: the HTTP status of the Node's answer; None where none came.
        milliseconds: how long the Node took; None where nothing was sent.
    """

    outcome: Outcome
    text: str
    status: int | None = None
    milliseconds: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether the change was made, or will be."""
        return self.outcome in {Outcome.AGREED, Outcome.DONE, Outcome.SCHEDULED}

    @property
    def may_be_made(self) -> bool:
        """Whether the change was made, or will be, or may have been."""
        return self.is_good or self.outcome is Outcome.UNKNOWN


NO_RECEIVER = Result(Outcome.FAILED, "The Registry does not have this destination any more.")
NO_SENDER = Result(Outcome.FAILED, "The Registry does not have this source any more.")
OTHER_SOURCE = Result(
    Outcome.FAILED, "This destination has another source by now, so it was not disconnected."
)
UNDER_WAY = Result(Outcome.SENDING, "A change of this destination is under way.")


LOOK = "Look at the Node before you repeat it."

_TEXTS = {
    401: (Outcome.REFUSED, "Refused: the Node does not accept your token"),
    403: (Outcome.REFUSED, "Refused: your token does not permit this"),
    404: (Outcome.FAILED, "The Node does not have this"),
    423: (Outcome.LOCKED, "Locked by a scheduled activation"),
    503: (Outcome.FAILED, "The Node is not ready"),
}


def of_reply(reply: Reply | None, aim: str, milliseconds: int | None) -> Result:
    """Return what a Node's answer to a change means.

    Args:
        reply: the answer; None for one that is lost, which says neither yes nor no.
        aim: what was asked for, as the beginning of a sentence: `Connected to CAM 1`, say.
        milliseconds: how long it took, if that was measured.
    """
    if reply is None:
        text = f"No answer came, so it is not known whether this was done: {aim}. {LOOK}"
        return Result(Outcome.UNKNOWN, text, None, milliseconds)
    outcome, text = _meaning(reply, aim)
    return Result(outcome, text, reply.status, milliseconds)


def completed(result: Result, aim: str) -> Result:
    """Return the result of a change that is done with the Node's answer: no Registry shows it."""
    if result.outcome is not Outcome.AGREED:
        return result
    return replace(result, outcome=Outcome.DONE, text=aim)


def of_status(status: int, error: str, aim: str) -> Result:
    """Return what one entry of a bulk answer means."""
    outcome, text = _meaning(Reply(status, {"error": error}), aim)
    return Result(outcome, text, status)


def _meaning(reply: Reply, aim: str) -> tuple[Outcome, str]:
    said = f": {reply.error}" if reply.error else ""
    status = reply.status
    if status == 202:
        return Outcome.SCHEDULED, f"Scheduled: {aim} {_time_of(reply)}".rstrip()
    if reply.is_success:
        return Outcome.AGREED, f"{aim}; the Registry does not show it yet"
    if status in _TEXTS:
        outcome, text = _TEXTS[status]
        return outcome, f"{text} ({status}){said}"
    if 300 <= status < 400:
        return Outcome.FAILED, f"The Node redirects this ({status}), which is not followed"
    return Outcome.FAILED, f"The Node refused ({status}){said}"


def _time_of(reply: Reply) -> str:
    activation = reply.body.get("activation") if isinstance(reply.body, Mapping) else None
    time = activation.get("activation_time") if isinstance(activation, Mapping) else None
    return f"at {time[:40]} TAI" if isinstance(time, str) and time.isprintable() else ""


def is_receiving(active: Active, sender_id: str | None) -> bool:
    """Tell whether a Receiver receives from a Sender; from none, where that is None."""
    if active is None:
        return False
    enabled = active.get("master_enable") is True
    return enabled is (sender_id is not None) and sender_id in {None, active.get("sender_id")}


def has_scheduled(staged: Active) -> bool:
    """Tell whether a Receiver's `staged` has an activation that is still to come."""
    activation = None if staged is None else staged.get("activation")
    return isinstance(activation, Mapping) and activation.get("mode") is not None


def scheduled_time(staged: Active) -> str:
    """Return the time of what a Receiver's `staged` has scheduled; "" for nothing."""
    activation = None if staged is None else staged.get("activation")
    if not isinstance(activation, Mapping) or activation.get("mode") is None:
        return ""
    return text(activation.get("activation_time"), 40)


Sign = Callable[[Active, Active], Outcome | None]
"""Tells by a Receiver's `active` and `staged` what became of a change; None where they do not."""


def sign_of_change(sender_id: str | None, when: When) -> Sign:
    """Return what tells that a Receiver was connected to a Sender, or to none."""

    def sign(active: Active, staged: Active) -> Outcome | None:
        if when.is_scheduled and has_scheduled(staged):
            return Outcome.SCHEDULED
        return Outcome.AGREED if is_receiving(active, sender_id) else None

    return sign


def sign_of_cancelling(_: Active, staged: Active) -> Outcome | None:
    """Tell that nothing is scheduled."""
    return None if staged is None or has_scheduled(staged) else Outcome.DONE
