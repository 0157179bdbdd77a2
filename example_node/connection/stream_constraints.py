"""Whether a Receiver's capabilities include a stream (BCP-004-01).

Each parameter constraint has its target in a session description, by the Capabilities register.
Here are those of uncompressed video and PCM audio. What a description does not say, and what the
register has for other media, is not held against a stream (BCP-004-01 "Behaviour: Controllers", of
constraints that cannot be evaluated).
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from example_node.connection.sdp import Media
from example_node.is04 import Rational
from example_node.resources import OneOf

ConstraintSet = Mapping[str, OneOf | str]

_FORMAT = "urn:x-nmos:cap:format:"
_TRANSPORT = "urn:x-nmos:cap:transport:"
_NUMBER = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10}|/[0-9]{1,10})?")
_LABEL = "urn:x-nmos:cap:meta:label"

Value = str | Fraction
Values = tuple[Value, ...]
"""The value of a parameter in a description. A number that cannot be read stays a text."""


def unmet(constraint_sets: Sequence[ConstraintSet], media: Media) -> str | None:
    """Return why a stream meets none of the sets; None if it meets one.

    "The `constraint_sets` as a whole is satisfied if any of the listed Constraint Sets are
    satisfied", and a set if all of its parameter constraints are (BCP-004-01).
    """
    known = _parameters(media)
    faults = []
    for constraint_set in constraint_sets:
        fault = next(_faults(constraint_set, known), None)
        if fault is None:
            return None
        label = constraint_set.get(_LABEL)
        faults.append(f"{fault} ({label})" if isinstance(label, str) else fault)
    return "; ".join(faults) or "there is no constraint set"


def _faults(constraint_set: ConstraintSet, known: Mapping[str, Values]) -> Iterator[str]:
    for name, constraint in constraint_set.items():
        if not isinstance(constraint, OneOf) or name not in known:
            continue
        allowed = [_comparable(each, name) for each in constraint.enum]
        values = [_comparable(each, name) for each in known[name]]
        if not any(value in allowed for value in values):
            yield f"{name.rpartition(':')[2]} is {_either(values)}, not {_either(allowed)}"


def _comparable(value: Value | int | Rational, name: str) -> Value:
    if isinstance(value, Rational):
        return Fraction(value.numerator, value.denominator)
    if isinstance(value, str):
        # Case does not matter in media types (RFC 4855 Section 3).
        return value.lower() if name == f"{_FORMAT}media_type" else value
    return Fraction(value)


def _either(values: Sequence[Value]) -> str:
    return " or ".join(str(value)[:40] for value in values)


def _parameters(media: Media) -> dict[str, Values]:
    """Return what a description says, by the names of the Capabilities register."""
    known: dict[str, Values] = {f"{_FORMAT}media_type": (media.media_type,)}
    attributes = dict(each.partition(":")[::2] for each in media.attributes)
    for name, attribute in (("packet_time", "ptime"), ("max_packet_time", "maxptime")):
        if attribute in attributes:
            known[f"{_TRANSPORT}{name}"] = _number(attributes[attribute])
    if media.has_type("video/raw"):
        known |= _of_video(_format_parameters(media.parameters))
    elif media.kind == "audio":
        known |= _of_audio(media.encoding)
    return known


def _of_video(parameters: Mapping[str, str]) -> dict[str, Values]:
    known = {
        name: read(parameters[parameter])
        for name, (parameter, read) in _VIDEO.items()
        if parameter in parameters
    }
    known[f"{_FORMAT}interlace_mode"] = _interlace_mode(parameters)
    return known


def _interlace_mode(parameters: Mapping[str, str]) -> Values:
    """ST 2110-20 Section 7.3: without `interlace` it is progressive; the field is not given."""
    if "interlace" not in parameters:
        return ("progressive",)
    if "segmented" in parameters:
        return ("interlaced_psf",)
    return ("interlaced_tff", "interlaced_bff")


def _of_audio(encoding: str) -> dict[str, Values]:
    name, rate, channels, *_ = [*encoding.split("/"), "", ""]
    known = {f"{_FORMAT}channel_count": _number(channels or "1")}
    if rate:
        known[f"{_FORMAT}sample_rate"] = _number(rate)
    if name[:1] in {"L", "l"} and name[1:].isdecimal():
        known[f"{_FORMAT}sample_depth"] = _number(name[1:])
    return known


def _format_parameters(text: str) -> dict[str, str]:
    """Read `a=fmtp`; case does not matter in the names of parameters (RFC 4855 Section 3)."""
    pairs = (each.partition("=") for each in text.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _number(text: str) -> Values:
    """Read `25`, `0.125` or `30000/1001`."""
    if _NUMBER.fullmatch(text):
        with contextlib.suppress(ZeroDivisionError):
            return (Fraction(text),)
    return (text,)


def _text(text: str) -> Values:
    return (text,)


_VIDEO: Mapping[str, tuple[str, Callable[[str], Values]]] = {
    f"{_FORMAT}grain_rate": ("exactframerate", _number),
    f"{_FORMAT}frame_width": ("width", _number),
    f"{_FORMAT}frame_height": ("height", _number),
    f"{_FORMAT}component_depth": ("depth", _number),
    f"{_FORMAT}colorspace": ("colorimetry", _text),
    f"{_FORMAT}transfer_characteristic": ("tcs", _text),
    f"{_FORMAT}color_sampling": ("sampling", _text),
    f"{_TRANSPORT}st2110_21_sender_type": ("tp", _text),
}
