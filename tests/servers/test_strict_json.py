"""JSON from strangers has one meaning or none (RFC 8259; RFC 8725 Section 2.4)."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth.servers.strict_json import _parse, _parse_plain, parse_object
from tests.support.costs import cost_in_turns

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)

# Fragments of JSON, so that a random sequence of them is often almost an object.
FRAGMENTS = st.sampled_from(
    [*rb"""{ } [ ] : , "a" "b" 1 1e999 -1E400 NaN null true "\ud800" "\u0061" 'a' //""".split()]
) | st.sampled_from([b"\xff", b" ", b"\n", b"\x00"])


def written(value: dict[str, object], compact: bool) -> bytes:  # noqa: FBT001 - drawn
    """Return an object as servers write it, with or without spaces."""
    separators = (",", ":") if compact else None
    return json.dumps(value, ensure_ascii=False, separators=separators).encode()


def nested(levels: int, *, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Return an object that is nested so many levels deep, itself the first."""
    return b'{"a":' + opening * (levels - 1) + closing * (levels - 1) + b"}"


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_objects_are_what_they_are(
    value: dict[str, object],
    ensure_ascii: bool,  # noqa: FBT001 - drawn
    indent: int | None,
) -> None:
    """Every honest object is parsed into itself, however it is written."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()
    assert parse_object(text) == value


@given(st.lists(FRAGMENTS, max_size=14).map(b"".join) | st.builds(written, OBJECTS, st.booleans()))
@example(b'{"a":1,"a":2}')
@example(b'{"a":[{"b":1,"b":1}]}')
@example(b'{"a\\u0022":1,"a\\u0022":1}')
@example(b'{"a":"\\u0022","b":1,"b":1}')
@example(b'{"a":1e999}')
@example(b'{"a":18446744073709551616,"b":-0.0,"c":1E5}')
@example(b'{"a":"\xed\xa0\x80"}')
def test_the_fast_way_finds_what_the_exact_way_finds(text: bytes) -> None:
    """An object that is parsed without a look at each name is the one that such a look finds."""
    plain = _parse_plain(text)
    if plain is not None:
        assert repr(plain) == repr(_parse(text)), "to the type of every number"


NUMBERS = rb"""
    0 -0 -0.0 0e0 -0e0 1E+5 1e-5 1.5e3 1e308 1e-400 4.9e-324 2.4703282292062328e-324
    1.7976931348623159e308 179769313486231580793e289 9007199254740993 18446744073709551615
    18446744073709551616 -9223372036854775809 18446744073709551615.0 2.2250738585072011e-308
    01 -01 - 1. .5 1e 1e+ +1 1_0 0x1 1e400 -1e400 1e99999999999999999999 1e-99999999999999999999
    NaN Infinity -Infinity nan tru True
""".split()
LONG_NUMBERS = [
    *(b"1" * digits for digits in (30, 310, 4300, 4301)),
    *(b"1." + b"3" * 1000, b"0." + b"0" * 500 + b"1", b"1e" + b"9" * 1000),
    b"9007199254740993." + b"0" * 780 + b"1",
    "\u0661\uff11".encode(),
]


@pytest.mark.parametrize(
    "around", [b"%b", b"\xef\xbb\xbf%b", b"%b\x00", b"\x0c%b", b"%b\x0b", b"%b\x1a", b"\xc2\xa0%b"]
)
def test_numbers_and_ends_are_the_same_both_ways(around: bytes) -> None:
    """Whatever a number is written as, and whatever is around it, two parsers agree on it."""
    for number in NUMBERS + LONG_NUMBERS:
        for place in (b'{"a":%b}', b'{"a":[%b ,0]}', b'{"a":{"b":"x","c":\t%b}}'):
            text = around % (place % number)
            plain = _parse_plain(text)
            if plain is not None:
                assert repr(plain) == repr(_parse(text)), number[:40]


@pytest.mark.parametrize("number", NUMBERS + LONG_NUMBERS, ids=lambda number: repr(number[:24]))
def test_no_number_is_costly(number: bytes) -> None:
    """32 KB of any numbers are read in well under the 40 ms that the costliest could take."""
    text = b'{"a":[%b]}' % b",".join([number] * (32_000 // (len(number) + 1)))

    def parse() -> None:
        with contextlib.suppress(ValueError):
            parse_object(text)

    assert cost_in_turns(parse) < 500_000


def test_most_objects_are_parsed_the_fast_way() -> None:
    """With and without spaces; only escapes and members that come twice need the exact way."""
    assert _parse_plain('{"iss": "https://é", "a": [{"b": 1.5}, null, true, "x"]}'.encode())
    assert _parse_plain(b'{"iss":"https://a","x-nmos-node":{"read":["*"]}}')
    assert _parse_plain(b'{"a":"\\n"}') is None
    assert _parse_plain(b'{"a":1,"a":1}') is None


@given(st.binary(max_size=40) | st.lists(FRAGMENTS, max_size=14).map(b"".join))
@example(b"")
@example(b"\xef\xbb\xbf{}")
def test_no_bytes_raise_anything_but_value_error(text: bytes) -> None:
    """Any bytes are an object, writable as JSON again, or a ValueError."""
    try:
        value = parse_object(text)
    except ValueError:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        # RFC 7519 Section 4: "the Claim Names within a JWT Claims Set MUST be unique"; RFC 7515
        # Section 4 says so of the header. Here at any depth.
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"b":2}]}',
        # RFC 8259 Section 6: "Numeric values that cannot be represented in the grammar … (such
        # as Infinity and NaN) are not permitted"
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":[NaN]}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
        b'{"a":0x10}',
        # RFC 8259 Section 8.1: UTF-8, and no byte order mark is sent
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xae"}',
        # RFC 8259 Section 8.2: unpaired surrogates make receivers unpredictable
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":[{"b":"x\\udfffy"}]}',
        # RFC 8259 Section 2: one text; white space is space, tab, line feed, carriage return
        b'{"a":1}{"a":1}',
        b'{"a":1} x',
        b'{"a":1}\x00',
        b'{"a":1}\x0b',
        b'\xc2\xa0{"a":1}',
        b'{"a":1,}',
        b"{a:1}",
        b"{'a':1}",
        b'{"a":1}//',
        b'{"a":"\n"}',
        b'{"a":"\\x41"}',
        b'{"a"}',
        b'{"a":tru}',
        b"{",
        b"",
        b" ",
        # RFC 7515 Section 4, RFC 7519 Section 4: "a JSON object"
        b"[]",
        b'[{"a":1}]',
        b'"a"',
        b"1",
        b"null",
        b"true",
        # Deeper than 16 levels, by either kind of bracket; and far deeper than any stack.
        nested(17),
        nested(17, opening=b'{"a":', closing=b"}").replace(b":}", b":1}"),
        nested(100_000),
        b"[" * 200_000,
        b'{"a":' * 200_000,
        # Numbers that take quadratic time to read
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_refused(text: bytes) -> None:
    """JSON that readers could take in more than one way, or choke on, is refused."""
    with pytest.raises(ValueError, match=r"JSON|nested|surrogate"):
        parse_object(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' \t\r\n{"a" : 1}\n', {"a": 1}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"é":"\U0001f600"}'.encode(), {"é": "\U0001f600"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":1.5e3}', {"a": 1500.0}),
        (b'{"a":9007199254740993}', {"a": 2**53 + 1}),
        (b'{"":{"":{}}}', {"": {"": {}}}),
        (b'{"a":{"x":1},"b":{"x":1}}', {"a": {"x": 1}, "b": {"x": 1}}),
        (b'{"a":"[[[[[[[[[[[[[[[[[[[[[["}', {"a": "[" * 22}),
        (b'{"a":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}', {"a": [[]] * 17}),
    ],
)
def test_what_is_accepted(text: bytes, value: object) -> None:
    """Strictness refuses nothing that RFC 8259 gives one meaning."""
    assert parse_object(text) == value


@given(OBJECTS, st.booleans())
def test_long_documents_mean_the_same(value: dict[str, object], compact: bool) -> None:  # noqa: FBT001 - drawn
    """What is too long for the quick parser is parsed as strictly, and into the same."""
    text = written(value, compact) + b" " * 32 * 1024
    assert parse_object(text) == value
    with pytest.raises(ValueError, match="JSON"):
        parse_object(b'{"a":' + text + b',"a":' + text + b"}")


def test_sixteen_levels_are_few_enough() -> None:
    """The limit is where the documentation says."""
    assert parse_object(nested(16)).keys() == {"a"}


def test_numbers_near_the_end_of_the_range_are_finite() -> None:
    """The largest number there is is still one."""
    value = parse_object(b'{"a":1.7976931348623157e308}')["a"]
    assert isinstance(value, float)
    assert math.isfinite(value)


def test_an_error_quotes_nothing() -> None:
    """What a stranger sent does not come back in a message, a cause or a context."""
    with pytest.raises(ValueError, match="JSON") as caught:
        parse_object(b'{"secret-word": oops}')
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
