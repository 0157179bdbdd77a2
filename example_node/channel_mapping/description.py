"""The Inputs and Outputs of this Node, with a case for each constraint."""

from example_node.channel_mapping.models import (
    Channel,
    Input,
    InputCaps,
    InputsAndOutputs,
    Output,
    OutputCaps,
    Parent,
    Properties,
)
from example_node.resources import AudioSource


def inputs_and_outputs(*, receiver_id: str, source: AudioSource) -> InputsAndOutputs:
    """Make them.

    Args:
        receiver_id: the Receiver of the audio that can be routed.
        source: what leaves the Node by its Sender, in as many channels.
    """
    stereo = tuple(Channel(label=each.label) for each in source.channels)
    return InputsAndOutputs(
        inputs={
            "receiver": Input(
                properties=Properties(name="Audio receiver", description="What it receives"),
                parent=Parent(id=receiver_id, type="receiver"),
                channels=stereo,
            ),
            "line-in": Input(
                properties=Properties(name="Line input", description="Two analogue stereo pairs"),
                channels=_numbered("Line", 4),
                caps=InputCaps(reordering=False, block_size=2),
            ),
            # What leaves by one Output and comes back (IS-08 "Behaviour", Re-entrant Mappings).
            "return": Input(
                properties=Properties(name="Return", description="What the Audio sender sends"),
                parent=Parent(id=source.id, type="source"),
                channels=stereo,
            ),
        },
        outputs={
            "sender": Output(
                properties=Properties(name="Audio sender", description="What it sends"),
                source_id=source.id,
                channels=stereo,
                # Without the Input `return`, which would be a loop.
                caps=OutputCaps(routable_inputs=("receiver", "line-in", None)),
            ),
            "monitor": Output(
                properties=Properties(name="Monitor", description="Four loudspeakers"),
                channels=_numbered("Speaker", 4),
            ),
        },
    )


def _numbered(name: str, count: int) -> tuple[Channel, ...]:
    return tuple(Channel(label=f"{name} {number}") for number in range(1, count + 1))
