"""Which streams an RTP Receiver accepts, for Controllers to compare with Flows (BCP-004-01).

The Receivers of this Node accept what its Senders send, and slightly more. The constraints are
those of the Capabilities register.
"""

from example_node.is04 import Rational
from example_node.resources import (
    AudioSource,
    OneOf,
    RawAudioFlow,
    RawVideoFlow,
    StreamCapabilities,
)

_LABEL = "urn:x-nmos:cap:meta:label"
_FORMAT = "urn:x-nmos:cap:format:"


def video_capabilities(flow: RawVideoFlow) -> StreamCapabilities:
    """Describe a Receiver that accepts streams like a Flow, including interlaced ones."""
    constraints: dict[str, tuple[str | int | Rational, ...]] = {
        "media_type": (flow.media_type,),
        "grain_rate": (flow.grain_rate,),
        "frame_width": (flow.frame_width,),
        "frame_height": (flow.frame_height,),
        "interlace_mode": (flow.interlace_mode, "interlaced_tff"),
        "colorspace": (flow.colorspace,),
        "transfer_characteristic": (flow.transfer_characteristic,),
        "color_sampling": (f"YCbCr-{flow.sampling}",),
        "component_depth": (flow.components[0].bit_depth,),
    }
    constraint_set = {f"{_FORMAT}{name}": OneOf(enum=each) for name, each in constraints.items()}
    return StreamCapabilities(
        media_types=(flow.media_type,),
        constraint_sets=({_LABEL: flow.label, **constraint_set},),
        version=flow.version,
    )


def audio_capabilities(flow: RawAudioFlow, source: AudioSource) -> StreamCapabilities:
    """Describe a Receiver that accepts streams like a Flow, including 16 bits."""
    media_types = ("audio/L24", "audio/L16")
    return StreamCapabilities(
        media_types=media_types,
        constraint_sets=(
            {
                _LABEL: flow.label,
                f"{_FORMAT}media_type": OneOf(enum=media_types),
                f"{_FORMAT}channel_count": OneOf(enum=(len(source.channels),)),
                f"{_FORMAT}sample_rate": OneOf(enum=(flow.sample_rate,)),
                f"{_FORMAT}sample_depth": OneOf(enum=(24, 16)),
            },
        ),
        version=flow.version,
    )
