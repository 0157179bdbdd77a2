"""What a Node sends next to its Registration API, and what each answer means.

Pure functions, after IS-04 v1.3 "Behaviour: Registration". Whatever happens, the Node is in one of
four phases with the one registry that it uses:

    ARRIVING      ── heartbeat: 200 ──▶ REGISTERED        the next of a cluster: it knows us
                  ── heartbeat: 404 ──▶ UNREGISTERED
    UNREGISTERED  ── POST the Node: 201 ──▶ REGISTERED
                  ── POST the Node: 200, 409 ──▶ CLEARING an earlier registration is there
                  ── POST the Node: 400 ──▶ Refused       not again before the Node has changed
    CLEARING      ── DELETE the Node ──▶ UNREGISTERED
    REGISTERED    ── heartbeat: 404 ──▶ UNREGISTERED      forgotten; all is registered again
                  ── POST, DELETE what has changed ──▶ REGISTERED

and from everywhere, with a 5xx or without an answer, it is Lost: the next registry's turn.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from example_node.registration.records import Kind, Record

API_VERSION = "v1.3"

_RECORD_PATH = re.compile(
    r"(?:https?://[^/?#]+)?/x-nmos/registration/(v[0-9]+\.[0-9]+)/resource/nodes/([^/?#]+)/?"
)


# What to do


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """POST the Node's health."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Register:
    """POST a resource, for the first time or in a new version."""

    record: Record


@dataclass(frozen=True, slots=True)
class Unregister:
    """DELETE a resource, from where it was registered with this version of the API."""

    kind: Kind
    id: str
    api_version: str = API_VERSION


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until then, or until a resource changes."""

    until: float


Request = Heartbeat | Register | Unregister


# What came back


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """An answer of a Registration API.

    Attributes:
        status: the HTTP status, or None if no answer came in time.
        location: the header field `Location`.
        detail: a text for the log.
    """

    status: int | None
    location: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """This registry cannot be used now.

    Attributes:
        why: a text for the log.
        denied: whether the token was refused (401 or 403), so that only another token may help.
    """

    why: str
    denied: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """This registry refuses the Node as it is."""

    why: str


# Where the Node stands


class Phase(Enum):
    """The phase of the registration."""

    ARRIVING = auto()
    UNREGISTERED = auto()
    CLEARING = auto()
    REGISTERED = auto()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the Node knows of its records at the registry.

    Attributes:
        phase: the phase of the registration.
        held: what it registered, by id, in the order of registration.
        rejected: id and version of what the registry refused.
        heartbeat_due: when the next heartbeat is due, in seconds of the caller's clock.
        cleared: whether the earlier record has already been deleted.
        former_version: the API version that an earlier record was registered with.
    """

    phase: Phase = Phase.UNREGISTERED
    held: Mapping[str, Record] = field(default_factory=dict)
    rejected: frozenset[tuple[str, str]] = frozenset()
    heartbeat_due: float = -math.inf
    cleared: bool = False
    former_version: str = API_VERSION

    def at_another(self) -> "Standing":
        """Where the Node stands once it has turned to another registry.

        "The first interaction with a new Registration API in this case SHOULD be a heartbeat".
        """
        return Standing(Phase.ARRIVING, held=self.held, heartbeat_due=self.heartbeat_due)


def next_step(standing: Standing, wanted: Sequence[Record], now: float) -> Request | Wait:
    """Return what to do now.

    Args:
        standing: where the Node stands.
        wanted: its resources, in the order of registration, the Node first.
        now: the time, in seconds of any clock that never goes back.
    """
    node = wanted[0]
    match standing.phase:
        case Phase.ARRIVING:
            return Heartbeat(node.id)
        case Phase.UNREGISTERED:
            return Register(node)
        case Phase.CLEARING:
            return Unregister(Kind.NODE, node.id, standing.former_version)
        case Phase.REGISTERED:
            if now >= standing.heartbeat_due:
                return Heartbeat(node.id)
            return _next_change(standing, wanted) or Wait(standing.heartbeat_due)


def _next_change(standing: Standing, wanted: Sequence[Record]) -> Register | Unregister | None:
    held = standing.held
    ids = {record.id for record in wanted}
    gone = [record for record in held.values() if record.id not in ids]
    if gone:
        # "carried out on child resources followed by their parents"
        return Unregister(gone[-1].kind, gone[-1].id)
    for record in wanted:
        if record.id in held and held[record.id].version == record.version:
            continue
        if (record.id, record.version) in standing.rejected:
            # "The same request MUST NOT be re-attempted without corrective action"
            continue
        if record.parent is None or record.parent in held:
            return Register(record)
    return None


def farewell(standing: Standing) -> tuple[Unregister, ...]:
    """Return what is to be deleted at the end (Controlled Unregistration): the Node last."""
    if standing.phase is not Phase.REGISTERED:
        return ()
    return tuple(Unregister(held.kind, held.id) for held in reversed([*standing.held.values()]))


# What an answer means


def after(
    standing: Standing, request: Request, answer: RegistryAnswer, sent: float, interval: float
) -> Standing | Lost | Refused:
    """Return what an answer means.

    Args:
        standing: where the Node stood when it sent the request.
        request: the request.
        answer: its answer.
        sent: when it was sent.
        interval: seconds between heartbeats.
    """
    status = answer.status
    if status is None or not (200 <= status < 300 or 400 <= status < 500):
        return _lost(answer)
    match request:
        case Heartbeat():
            return _after_heartbeat(standing, request, answer, sent + interval)
        case Register(record) if standing.phase is Phase.UNREGISTERED:
            return _after_first_registration(standing, record, answer, sent + interval)
        case Register(record):
            return _after_registration(standing, record, answer)
        case Unregister(id=resource_id):
            return _after_deletion(standing, resource_id, answer)


def _after_heartbeat(
    standing: Standing, request: Heartbeat, answer: RegistryAnswer, due: float
) -> Standing | Lost:
    match answer.status:
        case 404:
            return Standing(Phase.UNREGISTERED)
        case 409:
            return _cleared_first(answer, request.node_id)
        case status if status is not None and status >= 400:
            return _lost(answer)
    if request.node_id not in standing.held:
        # Known from an earlier life, and never registered in this one.
        return Standing(Phase.CLEARING)
    return replace(standing, phase=Phase.REGISTERED, heartbeat_due=due)


def _after_first_registration(
    standing: Standing, node: Record, answer: RegistryAnswer, due: float
) -> Standing | Lost | Refused:
    match answer.status:
        case 200 if not standing.cleared:
            # "an HTTP DELETE SHOULD be performed in this situation"
            return Standing(Phase.CLEARING)
        case 409 if not standing.cleared:
            return _cleared_first(answer, node.id)
        case 401 | 403 | 409:
            # After 401 and 403, a later token may be the corrective action.
            return _lost(answer)
        case status if status is not None and status >= 400:
            return Refused(_described(answer))
    return Standing(Phase.REGISTERED, held={node.id: node}, heartbeat_due=due)


def _cleared_first(answer: RegistryAnswer, node_id: str) -> Standing | Lost:
    """After a 409: "The Node MUST fully unregister … using its registered API version"."""
    match = _RECORD_PATH.fullmatch(answer.location or "")
    if match is None or match[2] != node_id:
        return _lost(answer)
    return Standing(Phase.CLEARING, former_version=match[1])


def _after_registration(
    standing: Standing, record: Record, answer: RegistryAnswer
) -> Standing | Lost:
    status = answer.status or 0
    if status == 401 or (status == 403 and record.kind is Kind.NODE):
        return _lost(answer)
    if status >= 400:
        # Only the latest version of each resource is kept, so that this does not grow for ever.
        others = {each for each in standing.rejected if each[0] != record.id}
        rejected = frozenset({*others, (record.id, record.version)})
        return replace(standing, rejected=rejected)
    if record.kind is Kind.NODE and status == 201:
        # It was forgotten, and everything else with it.
        return replace(standing, held={record.id: record}, rejected=frozenset())
    return replace(standing, held={**standing.held, record.id: record})


def _after_deletion(
    standing: Standing, resource_id: str, answer: RegistryAnswer
) -> Standing | Lost:
    if standing.phase is Phase.CLEARING:
        gone = answer.status in {200, 204, 404}
        return Standing(Phase.UNREGISTERED, cleared=True) if gone else _lost(answer)
    # If the registry refuses, asking it again would not help.
    held = {key: each for key, each in standing.held.items() if key != resource_id}
    return replace(standing, held=held)


def _lost(answer: RegistryAnswer) -> Lost:
    return Lost(_described(answer), denied=answer.status in {401, 403})


def _described(answer: RegistryAnswer) -> str:
    status = "no answer" if answer.status is None else f"it answered {answer.status}"
    return f"{status} ({answer.detail})" if answer.detail else status
