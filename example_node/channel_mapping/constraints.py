"""Which maps the Inputs and Outputs permit (IS-08 "Behaviour", Input and Output Constraints).

Every constraint is about the channels of one Output, so each Output can be looked at by itself.
"""

from collections.abc import Iterable, Mapping, Sequence

from example_node.channel_mapping.models import Input, Output, Route
from example_node.errors import BadRequestError


def check(
    output_id: str, output: Output, inputs: Mapping[str, Input], routes: Sequence[Route]
) -> None:
    """Check what an Output would get.

    Args:
        output_id: the Output's name.
        output: the Output itself.
        inputs: all Inputs.
        routes: the route of each of the Output's channels, also of those that do not change.

    Raises:
        BadRequestError: a constraint is broken; the message says which, and by what.
    """
    for channel, route in enumerate(routes):
        _check_route(f"action.{output_id}.{channel}", output, inputs, route)
    for input_id, each in inputs.items():
        taken = {
            channel: route.source[1]
            for channel, route in enumerate(routes)
            if route.source is not None and route.source[0] == input_id
        }
        if not each.caps.reordering:
            _check_order(output_id, input_id, taken)
        _check_blocks(output_id, input_id, each.caps.block_size, taken)


def _check_route(where: str, output: Output, inputs: Mapping[str, Input], route: Route) -> None:
    routable = output.caps.routable_inputs
    if routable is not None and route.input not in routable:
        choice = ", ".join("null" if each is None else each for each in routable)
        raise BadRequestError(f"{where}.input: this Output's routable_inputs are {choice}")
    if route.source is None:
        return
    input_id, index = route.source
    if input_id not in inputs:
        raise BadRequestError(f"{where}.input: there is no such Input")
    if not 0 <= index < len(inputs[input_id].channels):
        raise BadRequestError(f"{where}.channel_index: {input_id} has no such channel")


def _check_order(output_id: str, input_id: str, taken: Mapping[int, int]) -> None:
    """Without reordering, all channels of an Input reach an Output with the same offset."""
    if len({index - channel for channel, index in taken.items()}) > 1:
        raise BadRequestError(
            f"action.{output_id}: {input_id} has reordering false, so that all its channels must be"
            f" shifted alike, unlike {_pairs(taken.items())}"
        )


def _check_blocks(output_id: str, input_id: str, size: int, taken: Mapping[int, int]) -> None:
    """The channels of a block stay together: all of them, on channels beside each other.

    The order of the channels in a block is not looked at, because it is free unless `reordering` is
    false (IS-08 "Behaviour", Combining Input Constraints).
    """
    pairs = sorted(taken.items())
    for first in range(0, len(pairs), size):
        block = pairs[first : first + size]
        channels = [channel for channel, _ in block]
        indexes = sorted(index for _, index in block)
        start = indexes[0] - indexes[0] % size
        whole = indexes == list(range(start, start + size))
        if not whole or channels[-1] - channels[0] != size - 1:
            raise BadRequestError(
                f"action.{output_id}: {input_id} has block_size {size}, so that whole blocks of its"
                f" channels must be routed together, unlike {_pairs(block)}"
            )


def _pairs(taken: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{index} to {channel}" for channel, index in taken)
