"""Routing constraints: what IS-08 draws as permitted and not, and what always holds."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from example_node.channel_mapping.constraints import check
from example_node.channel_mapping.models import (
    UNROUTED,
    Channel,
    Input,
    InputCaps,
    Output,
    OutputCaps,
    Properties,
    Route,
)
from example_node.errors import BadRequestError

PROPERTIES = Properties(name="Something", description="For a test")


def channels(count: int) -> tuple[Channel, ...]:
    """Some channels."""
    return tuple(Channel(label=f"Channel {number}") for number in range(count))


def madi(*, reordering: bool = True, block_size: int = 1, count: int = 64) -> Input:
    """An Input with many channels."""
    caps = InputCaps(reordering=reordering, block_size=block_size)
    return Input(properties=PROPERTIES, channels=channels(count), caps=caps)


def card(count: int = 8, *routable: str | None) -> Output:
    """An Output, which takes everything unless it is said what."""
    caps = OutputCaps(routable_inputs=routable or None)
    return Output(properties=PROPERTIES, channels=channels(count), caps=caps)


def routes(*indexes: int | None, name: str = "madi") -> list[Route]:
    """What an Output's channels get of one Input."""
    return [
        UNROUTED if index is None else Route(input=name, channel_index=index) for index in indexes
    ]


STRAIGHT = (0, 1, 2, 3, 4, 5, 6, 7)
SECOND_BLOCK = (8, 9, 10, 11, 12, 13, 14, 15)
WITH_GAP = (0, 1, 2, 3, 4, 5, 6, None)
FROM_NINE = (9, 10, 11, 12, 13, 14, 15, 16)
SKIPS_OUTPUT = (0, 1, 2, None, 3, 4, 5, 6)
SKIPS_INPUT = (8, 9, 10, 11, 12, 14, 15, 16)
SWAPPED = (0, 1, 2, 3, 5, 4, 6, None)
ROTATED = (16, 9, 10, 11, 12, 13, 14, 15)
FROM_FIVE = (5, 6, 7, 8, 9, 10, 11, 12)
SWAPPED_BLOCK = (0, 1, 2, 3, 5, 4, 6, 7)

# The figures of IS-08 "Behaviour", Input Constraints, by the names of their files, a row for each
# of the two cards; and after them what the sentences around the figures add.
FIGURES = [
    ("no-reordering", STRAIGHT, False, 1, True),
    ("gaps, card A", SKIPS_OUTPUT, False, 1, False),
    ("gaps, card B", SKIPS_INPUT, False, 1, False),
    ("gaps, card A", SKIPS_OUTPUT, True, 1, True),
    ("gaps, card B", SKIPS_INPUT, True, 1, True),
    ("switching, card A", SWAPPED, False, 1, False),
    ("switching, card B", ROTATED, False, 1, False),
    ("switching, card A", SWAPPED, True, 1, True),
    ("switching, card B", ROTATED, True, 1, True),
    ("input-gap, card A", WITH_GAP, False, 1, True),
    ("input-gap, card B", FROM_NINE, False, 1, True),
    ("block-no-reordering", STRAIGHT, True, 8, True),
    ("block-crossover", SECOND_BLOCK, True, 8, True),
    ("block-crossover", SECOND_BLOCK, False, 8, True),
    ("block-input-gap, card A", WITH_GAP, True, 8, False),
    ("block-input-gap, card B", FROM_NINE, True, 8, False),
    ("block-reordering, card B", FROM_FIVE, True, 8, False),
    ("block-switching, card A", SWAPPED, False, 8, False),
    ("reordered in the block", SWAPPED_BLOCK, True, 8, True),
    ("reordered in the block", SWAPPED_BLOCK, False, 8, False),
    ("nothing", (None,) * 8, False, 8, True),
    ("blocks of two crossed", (2, 3, 0, 1), True, 2, True),
    ("blocks of two crossed", (2, 3, 0, 1), False, 2, False),
    ("a block twice", (0, 1, 0, 1), True, 2, True),
    ("a block twice", (0, 1, 0, 1), False, 2, False),
    ("a block apart", (0, None, 1, None), True, 2, False),
    ("a channel twice", (0, 0), True, 2, False),
    ("a channel twice", (0, 0, 1, 1), True, 2, False),
    ("across two blocks", (1, 2), True, 2, False),
    ("half a block at the end", (0, 1, 2, None), True, 2, False),
    ("blocks of two with a gap", (0, 1, None, 2, 3), True, 2, True),
]


@pytest.mark.parametrize(("figure", "indexes", "reordering", "block_size", "permitted"), FIGURES)
def test_input_constraints(
    figure: str,
    indexes: tuple[int | None, ...],
    reordering: bool,  # noqa: FBT001 - a column of the table
    block_size: int,
    permitted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """What a figure shows is permitted or not, and a refusal names the Input and the constraint."""
    inputs = {"madi": madi(reordering=reordering, block_size=block_size)}
    if permitted:
        check("card", card(len(indexes)), inputs, routes(*indexes))
        return
    with pytest.raises(BadRequestError, match=r"card.*madi has (reordering false|block_size)"):
        check("card", card(len(indexes)), inputs, routes(*indexes))


def test_constraints_are_each_inputs_own() -> None:
    """Two Inputs on one Output have an offset each, and channels of others part a block."""
    inputs = {"a": madi(reordering=False), "b": madi(block_size=2)}
    a, b = routes(5, 6, name="a"), routes(0, 1, name="b")
    check("card", card(4), inputs, [*a, *b])
    check("card", card(4), inputs, [a[0], *b, Route(input="a", channel_index=8)])
    with pytest.raises(BadRequestError, match=r"b has block_size 2.*0 to 0, 1 to 2"):
        check("card", card(4), inputs, [b[0], a[0], b[1]])


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (Route(input="other", channel_index=0), "card.0.input: this Output's routable_inputs are"),
        (Route(input="nothing", channel_index=0), "card.0.input: there is no such Input"),
        (UNROUTED, "routable_inputs are madi, nothing"),
        (Route(input="madi", channel_index=64), "card.0.channel_index: madi has no such channel"),
        (Route(input="madi", channel_index=-1), "card.0.channel_index: madi has no such channel"),
    ],
)
def test_output_constraints(route: Route, message: str) -> None:
    """Only what is routable and exists is routed, and silence only where null is routable."""
    inputs = {"madi": madi(), "other": madi()}
    with pytest.raises(BadRequestError, match=re.escape(message)):
        check("card", card(1, "madi", "nothing"), inputs, [route])


def test_an_output_without_constraints_takes_everything() -> None:
    """`routable_inputs` null permits every Input and silence."""
    inputs = {"madi": madi(), "other": madi()}
    for route in (*routes(63), *routes(0, name="other"), UNROUTED):
        check("card", card(1), inputs, [route])


@pytest.mark.parametrize(("count", "block_size"), [(3, 2), (1, 2), (0, 1), (4, 0)])
def test_an_input_has_whole_blocks(count: int, block_size: int) -> None:
    """An Input that IS-08 does not permit cannot be described."""
    with pytest.raises(ValidationError):
        madi(count=count, block_size=block_size)


@given(
    reordering=st.booleans(),
    block_size=st.sampled_from([1, 2, 3]),
    indexes=st.lists(st.none() | st.integers(0, 5), max_size=6),
)
def test_what_is_permitted_keeps_the_rules(
    reordering: bool,  # noqa: FBT001 - drawn by name
    block_size: int,
    indexes: list[int | None],
) -> None:
    """Of every block all channels are routed or none; without reordering there is one offset."""
    inputs = {"madi": madi(reordering=reordering, block_size=block_size, count=6)}
    try:
        check("card", card(6), inputs, routes(*indexes))
    except BadRequestError:
        return
    used = {index for index in indexes if index is not None}
    for start in range(0, 6, block_size):
        block = set(range(start, start + block_size))
        assert block <= used or not block & used
    if not reordering:
        assert len({i - each for i, each in enumerate(indexes) if each is not None}) <= 1


@given(
    parts=st.lists(
        st.tuples(st.permutations([0, 1, 2]), st.sampled_from([0, 3, 6]), st.integers(0, 2)),
        max_size=4,
    )
)
def test_whole_blocks_are_permitted(parts: list[tuple[list[int], int, int]]) -> None:
    """Blocks may come in any order, more than once, with silence between them."""
    inputs: Mapping[str, Input] = {"madi": madi(block_size=3, count=9)}
    indexes: list[int | None] = []
    for order, start, silence in parts:
        indexes += [*(start + each for each in order), *[None] * silence]
    check("card", card(max(1, len(indexes))), inputs, routes(*indexes))
