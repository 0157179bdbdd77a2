"""What became of a change, and the words for it. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

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


_TEXTS = {
    401: (Outcome.REFUSED, "Refused: the Node does not accept your token"),
    403: (Outcome.REFUSED, "Refused: your token does not permit this"),
    404: (Outcome.FAILED, "The Node does not know this"),
    423: (Outcome.LOCKED, "Locked by a scheduled activation"),
    503: (Outcome.FAILED, "The Node is not ready"),
}


def of_reply(reply: Reply, aim: str, milliseconds: int | None) -> Result:
    """Return what a Node's answer to a change means.

    Args:
        reply: the answer.
        aim: what was asked for, as the beginning of a sentence: `Connected to CAM 1`, say.
        milliseconds: how long it took, if that was measured.
    """
    outcome, text = _meaning(reply, aim)
    return Result(outcome, text, reply.status, milliseconds)


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
        return Outcome.FAILED, f"The Node points elsewhere ({status}), which is not followed"
    return Outcome.FAILED, f"The Node refused ({status}){said}"


def _time_of(reply: Reply) -> str:
    activation = reply.body.get("activation") if isinstance(reply.body, Mapping) else None
    time = activation.get("activation_time") if isinstance(activation, Mapping) else None
    return f"at {time[:40]} TAI" if isinstance(time, str) and time.isprintable() else ""


def after_no_answer(
    state: Mapping[str, object] | None, sender_id: str | None, aim: str, *, scheduled: bool
) -> Result:
    """Return what the Node's own state says where no answer came to a change.

    Args:
        state: its `active`, or its `staged` for what is scheduled; None where it cannot be read.
        sender_id: the Sender that was wanted; None for none.
        aim: what was asked for.
        scheduled: whether the change was for later.
    """
    if state is None:
        return Result(
            Outcome.UNKNOWN, f"No answer came in time. Unknown whether: {aim}. Look again."
        )
    if scheduled:
        activation = state.get("activation")
        made = isinstance(activation, Mapping) and activation.get("mode") is not None
    else:
        enabled = state.get("master_enable") is True
        made = enabled is (sender_id is not None) and (
            sender_id is None or state.get("sender_id") == sender_id
        )
    if made:
        outcome = Outcome.SCHEDULED if scheduled else Outcome.AGREED
        return Result(outcome, f"{aim}; no answer came in time, but the Node shows it")
    return Result(Outcome.FAILED, "No answer came in time, and the Node shows no change")
