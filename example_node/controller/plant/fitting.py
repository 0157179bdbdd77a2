"""Which constraint set of a Receiver a Sender's stream meets, by its Flow (BCP-004-01).

What the Registry does not tell of a Flow cannot be evaluated, and is not held against it
(BCP-004-01 "Behaviour: Controllers"). Whatever comes out here, a user may try.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from example_node.controller.plant.resources import Flow, Receiver, Sender, Source, text
from example_node.events.event_types import accepts

_FORMAT = "urn:x-nmos:cap:format:"
_META = "urn:x-nmos:cap:meta:"
_MOST_SETS, _MOST_CONSTRAINTS = 50, 100

Value = str | bool | Fraction


@dataclass(frozen=True, slots=True)
class Fit:
    """How a stream compares with one constraint set.

    Attributes:
        label: what the set is called.
        faults: what does not fit; empty where all fits that can be evaluated.
        enabled: whether the set is used at all.
    """

    label: str
    faults: tuple[str, ...]
    enabled: bool

    @property
    def is_met(self) -> bool:
        """Whether the stream meets the set."""
        return self.enabled and not self.faults


def basics(
    receiver: Receiver, sender: Sender, flow: Flow | None, source: Source | None
) -> list[str]:
    """Return why a Receiver does not accept a Sender at all; empty where it may."""
    faults = []
    if not _same_transport(receiver.transport, sender.transport):
        faults.append(f"the transport is {sender.transport}, not {receiver.transport}")
    if flow is None:
        return faults
    if flow.format != receiver.format:
        faults.append(f"the format is {flow.format}, not {receiver.format}")
    media_types = _texts(receiver.caps.get("media_types"))
    if media_types and flow.media_type.lower() not in [each.lower() for each in media_types]:
        faults.append(f"the media type is {flow.media_type}, not {_either(media_types)}")
    event_types = _texts(receiver.caps.get("event_types"))
    if event_types and source is not None and not accepts(event_types, source.event_type):
        faults.append(f"the event type is {source.event_type}, not {_either(event_types)}")
    return faults


def fits(receiver: Receiver, flow: Flow | None, source: Source | None) -> list[Fit]:
    """Compare a stream with each constraint set of a Receiver, the preferred ones first."""
    sets = receiver.caps.get("constraint_sets")
    known = {} if flow is None else _parameters(flow, source)
    found: list[tuple[float, Fit]] = []
    for number, each in enumerate(sets[:_MOST_SETS] if isinstance(sets, list) else ()):
        if not isinstance(each, Mapping):
            continue
        label = text(each.get(f"{_META}label")) or f"set {number + 1}"
        preference = each.get(f"{_META}preference")
        weight = preference if isinstance(preference, int) else 0
        fit = Fit(label, tuple(_faults(each, known)), each.get(f"{_META}enabled") is not False)
        found.append((-weight, fit))
    return [fit for _, fit in sorted(found, key=lambda each: each[0])]


def described(receiver: Receiver) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each constraint set for people: its label, and what it allows of each parameter."""
    sets = receiver.caps.get("constraint_sets")
    found = []
    for number, each in enumerate(sets[:_MOST_SETS] if isinstance(sets, list) else ()):
        if isinstance(each, Mapping):
            label = text(each.get(f"{_META}label")) or f"set {number + 1}"
            allowed = [
                (text(name).rpartition(":")[2], _allowed(constraint))
                for name, constraint in list(each.items())[:_MOST_CONSTRAINTS]
                if isinstance(constraint, Mapping)
            ]
            found.append((label, allowed))
    return found


def _faults(constraint_set: Mapping[str, object], known: Mapping[str, Value]) -> Iterator[str]:
    for name, constraint in list(constraint_set.items())[:_MOST_CONSTRAINTS]:
        if isinstance(constraint, Mapping) and name in known:
            value = known[name]
            if not _meets(value, constraint):
                yield f"{name.rpartition(':')[2]} is {_shown(value)}, not {_allowed(constraint)}"


def _meets(value: Value, constraint: Mapping[str, object]) -> bool:
    allowed = constraint.get("enum")
    if isinstance(allowed, list) and not any(_equal(value, _value(each)) for each in allowed):
        return False
    if isinstance(value, Fraction):
        least, most = (_value(constraint.get(each)) for each in ("minimum", "maximum"))
        if isinstance(least, Fraction) and value < least:
            return False
        if isinstance(most, Fraction) and value > most:
            return False
    return True


def _equal(one: Value, other: Value | None) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return type(one) is type(other) and one == other


def _value(given: object) -> Value | None:
    if isinstance(given, bool | str):
        return given
    if isinstance(given, int | float):
        return Fraction(str(given)) if abs(given) < 1e15 else None
    if isinstance(given, Mapping):
        numerator, denominator = given.get("numerator"), given.get("denominator", 1)
        if isinstance(numerator, int) and isinstance(denominator, int) and denominator:
            return Fraction(numerator, denominator)
    return None


def _parameters(flow: Flow, source: Source | None) -> dict[str, Value]:
    """Return what the Registry tells of a stream, by the names of the Capabilities register."""
    data = flow.data
    given: dict[str, object] = {
        "media_type": flow.media_type,
        "grain_rate": data.get("grain_rate"),
        "frame_width": data.get("frame_width"),
        "frame_height": data.get("frame_height"),
        "interlace_mode": data.get("interlace_mode"),
        "colorspace": data.get("colorspace"),
        "transfer_characteristic": data.get("transfer_characteristic"),
        "sample_rate": data.get("sample_rate"),
        "sample_depth": data.get("bit_depth"),
        "bit_rate": data.get("bit_rate"),
        "profile": data.get("profile"),
        "level": data.get("level"),
        "sublevel": data.get("sublevel"),
        "event_type": None if source is None else source.event_type or None,
        "channel_count": source.channels if source is not None and source.channels else None,
        **_components(data.get("components")),
    }
    found = ((f"{_FORMAT}{name}", _value(value)) for name, value in given.items())
    return {name: value for name, value in found if value is not None}


def _components(value: object) -> dict[str, object]:
    """Return depth and sampling, which IS-04 has as components of a size each."""
    parts = [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
    if not parts:
        return {}
    found: dict[str, object] = {"component_depth": parts[0].get("bit_depth")}
    names = [each.get("name") for each in parts]
    sizes = [(each.get("width"), each.get("height")) for each in parts]
    if names == ["Y", "Cb", "Cr"]:
        (width, height), chroma = sizes[0], sizes[1]
        if isinstance(width, int) and isinstance(height, int):
            sampling = {
                (width, height): "YCbCr-4:4:4",
                (width // 2, height): "YCbCr-4:2:2",
                (width // 2, height // 2): "YCbCr-4:2:0",
            }
            found["color_sampling"] = sampling.get(chroma)  # type: ignore[arg-type]
    elif names == ["R", "G", "B"]:
        found["color_sampling"] = "RGB"
    return found


def _same_transport(one: str, other: str) -> bool:
    """Compare transports: `rtp.mcast` is one of `rtp` (IS-04 "APIs: Common Keys", Transport)."""
    return _base(one) == _base(other)


def _base(transport: str) -> str:
    name, _, last = transport.rpartition(":")
    return f"{name}:{last.partition('.')[0]}"


def _texts(value: object) -> list[str]:
    return (
        [text(each) for each in value[:_MOST_CONSTRAINTS] if isinstance(each, str)]
        if isinstance(value, list)
        else []
    )


def _either(values: Sequence[str]) -> str:
    return " or ".join(values) or "anything"


def _shown(value: Value | None) -> str:
    return text(str(value), 60) if value is not None else "?"


def _allowed(constraint: Mapping[str, object]) -> str:
    allowed = constraint.get("enum")
    parts = []
    if isinstance(allowed, list):
        parts.append(_either([_shown(_value(each)) for each in allowed[:20]]))
    for name, word in (("minimum", "at least"), ("maximum", "at most")):
        if name in constraint:
            parts.append(f"{word} {_shown(_value(constraint[name]))}")
    return ", ".join(parts) or "anything"
