"""How an SDP describes a Flow: ST 2110-20 for raw video, ST 2110-30 for PCM audio."""

from example_node.connection.sdp import Media
from example_node.is04 import Rational
from example_node.resources import (
    AudioSource,
    Flow,
    RawAudioFlow,
    RawVideoFlow,
    Source,
    VideoSource,
)

_VIDEO_PAYLOAD_TYPE, _AUDIO_PAYLOAD_TYPE = 96, 97

# The channel groups of ST 2110-30 section 6.2.2 that this Node's Sources can have.
_CHANNEL_GROUPS = {("M1",): "M", ("L", "R"): "ST", ("Lt", "Rt"): "LtRt"}


def media_of(flow: Flow, source: Source) -> Media:
    """Describe a Flow.

    Raises:
        ValueError: the Flow and the Source are not of the same format.
    """
    if isinstance(flow, RawVideoFlow) and isinstance(source, VideoSource):
        return _video(flow)
    if isinstance(flow, RawAudioFlow) and isinstance(source, AudioSource):
        rate, bits, channels = flow.sample_rate.numerator, flow.bit_depth, len(source.channels)
        group = _CHANNEL_GROUPS.get(tuple(channel.symbol for channel in source.channels))
        return Media(
            kind="audio",
            payload_type=_AUDIO_PAYLOAD_TYPE,
            encoding=f"L{bits}/{rate}/{channels}",
            parameters=f"channel-order=SMPTE2110.({group or f'U{channels:02}'})",
            attributes=("ptime:1",),
        )
    raise ValueError(f"Flow {flow.id} is {flow.format} and its Source {source.format}")


def _video(flow: RawVideoFlow) -> Media:
    parameters = {
        "sampling": f"YCbCr-{flow.sampling}",
        "width": flow.frame_width,
        "height": flow.frame_height,
        "exactframerate": _frame_rate(flow.grain_rate),
        "depth": flow.components[0].bit_depth,
        "TCS": flow.transfer_characteristic,
        "colorimetry": flow.colorspace,
        "PM": "2110GPM",
        "SSN": "ST2110-20:2017",
        "TP": "2110TPN",
    }
    return Media(
        kind="video",
        payload_type=_VIDEO_PAYLOAD_TYPE,
        encoding="raw/90000",
        parameters="; ".join(f"{name}={value}" for name, value in parameters.items()),
    )


def _frame_rate(rate: Rational) -> str:
    whole = rate.denominator == 1
    return str(rate.numerator) if whole else f"{rate.numerator}/{rate.denominator}"
