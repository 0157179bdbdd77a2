"""Access tokens: compact serialisation, and that no bytes make the parser stumble."""

from __future__ import annotations

import base64
import binascii
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmos_auth import InvalidToken
from nmos_auth.rules.tokens import LONGEST_TOKEN, parse_token
from tests.support.parsed import GOOD, GOOD_HEADER, GOOD_PAYLOAD, HEADER, ISSUER, compact, refused
from tests.support.tokens import b64url, claims_of

HEADER_SEGMENT, PAYLOAD_SEGMENT, SIGNATURE_SEGMENT = GOOD.split(b".")


@pytest.mark.parametrize(
    "text",
    [
        # RFC 7515 Section 7.1: three segments
        b"",
        b".",
        b"..",
        b"...",
        HEADER_SEGMENT,
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT,
        GOOD + b".",
        b"." + GOOD,
        GOOD + b"." + SIGNATURE_SEGMENT,
        # RFC 8725 Section 3.2: a signature is always there; RFC 7515 Appendix F: no detached
        # content
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".",
        HEADER_SEGMENT + b".." + SIGNATURE_SEGMENT,
        b"." + PAYLOAD_SEGMENT + b"." + SIGNATURE_SEGMENT,
        # RFC 7516 Section 9: five segments are a JWE
        GOOD + b".a.b",
        # RFC 7515 Section 7.2: the JSON serialization is another
        json.dumps({"payload": "e30", "signatures": []}).encode(),
        # RFC 7515 Section 2: "with all trailing '=' characters omitted … and without the
        # inclusion of any line breaks, whitespace, or other additional characters"
        GOOD + b"=",
        GOOD + b"==",
        GOOD + b"\n",
        GOOD + b" ",
        b" " + GOOD,
        GOOD.replace(b".", b".\n"),
        GOOD.replace(b".", b"=."),
        GOOD.replace(b".", b"!."),
        GOOD[:-1],
        GOOD + b"\xff",
        GOOD + "é".encode(),
        GOOD + b"\0",
        # RFC 4648 Section 5: `-` and `_`, not `+` and `/`
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".ab+/",
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".ab-/",
        # RFC 4648 Section 3.5: pad bits are zero
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".AB",
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".AAB",
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".A",
        HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b".AAAAA",
    ],
    ids=lambda text: repr(text[-24:]),
)
def test_refused_structures(text: bytes) -> None:
    """Whatever is not three segments of strict base64url is not a token."""
    assert refused(text)


def test_a_token_longer_than_any_header_is_refused() -> None:
    """IS-10 "Size Considerations": 8 KiB is a common limit, far below what is parsed at all."""
    assert LONGEST_TOKEN == 16 * 1024

    def token_of(length: int) -> bytes:
        begun = GOOD_PAYLOAD[:-1] + b',"x":"'
        for fill in range(length):
            text = compact(
                GOOD_HEADER, begun + b"a" * (3 * length // 4 - len(begun) - fill) + b'"}'
            )
            if len(text) == length:
                return text
        raise AssertionError(length)

    fits = [refused(token_of(LONGEST_TOKEN - less)) for less in (8000, 3, 0)]
    assert fits == [False] * 3
    assert refused(token_of(LONGEST_TOKEN + 1))


@pytest.mark.parametrize(("opening", "closing"), [(b"{", b"}"), (b"[", b"]")])
def test_a_token_of_many_objects_is_refused(opening: bytes, closing: bytes) -> None:
    """Each object and each array costs something to look at, so that their number is bounded."""
    held = GOOD_PAYLOAD.count(b"[") + GOOD_PAYLOAD.count(b"{")

    def token_of(number: int) -> bytes:
        many = b",".join([opening + closing] * (number - held - 1))
        return compact(GOOD_HEADER, GOOD_PAYLOAD[:-1] + b',"x":[' + many + b"]}")

    assert not refused(token_of(512))
    assert refused(token_of(513))


def canonical_base64url(segment: bytes) -> bool:
    """Tell whether a segment is what RFC 7515 Section 2 makes of some bytes."""
    try:
        data = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        return False
    return bool(segment) and b64url(data).encode() == segment


SEGMENTS = (
    st.binary(min_size=1, max_size=8).map(b64url).map(str.encode)
    | st.text('AQgw-_+/= \n"\\u04!', max_size=9).map(str.encode)
    | st.binary(max_size=6).filter(lambda segment: b"." not in segment)
)


@given(SEGMENTS)
@example(b"AA")
@example(b"AB")
@example(b"AAA=")
@example(b"\\u0041AA")
def test_one_spelling_for_every_signature(segment: bytes) -> None:
    """A segment is accepted exactly if it is the one base64url form of its bytes."""
    text = HEADER_SEGMENT + b"." + PAYLOAD_SEGMENT + b"." + segment
    assert refused(text) != canonical_base64url(segment)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_token_is_another_or_none(at: int, insertion: bytes, cut: int) -> None:
    """No change of its spelling leaves a token what it was: caches by text see one token once."""
    changed = GOOD[:at] + insertion + GOOD[at + cut :]
    if changed == GOOD:
        return
    good = parse_token(GOOD)
    try:
        other = parse_token(changed)
    except InvalidToken:
        return
    assert (other.digest, other.signature) != (good.digest, good.signature)


@given(st.binary(max_size=60) | st.lists(SEGMENTS, max_size=5).map(b".".join))
def test_no_bytes_raise_anything_but_invalid_token(text: bytes) -> None:
    """Any bytes that a client may send are a token or an `InvalidToken`."""
    assert refused(text) in {True, False}


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_segments_raise_anything_but_invalid_token(header: bytes, payload: bytes) -> None:
    """Any bytes under the base64url are a header and a payload, or an `InvalidToken`."""
    assert refused(compact(header, GOOD_PAYLOAD))
    assert refused(compact(GOOD_HEADER, payload))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
CLAIM_NAMES = st.sampled_from(
    ["iss", "sub", "aud", "exp", "iat", "nbf", "client_id", "azp", "scope", "jti", "x-nmos-node"]
)


@given(st.dictionaries(CLAIM_NAMES, JSON_VALUES, max_size=4))
def test_no_claims_raise_anything_but_invalid_token(changes: dict[str, object]) -> None:
    """Any JSON in any claim is accepted or refused, and using what is accepted raises nothing."""
    payload = json.dumps({**claims_of(ISSUER), **changes}).encode()
    try:
        token = parse_token(compact(GOOD_HEADER, payload)).token
    except InvalidToken:
        return
    assert isinstance(token.allows("node", "read", "self"), bool)
    assert isinstance(token.iss, str)
    assert all(isinstance(entry, str) for entry in token.aud)


@given(st.dictionaries(st.sampled_from([*HEADER, "crit", "b64", "jwk"]), JSON_VALUES))
def test_no_header_raises_anything_but_invalid_token(header: dict[str, object]) -> None:
    """Any JSON in any header parameter is accepted or an `InvalidToken`."""
    text = compact(json.dumps({**HEADER, **header}).encode(), GOOD_PAYLOAD)
    assert refused(text) in {True, False}
