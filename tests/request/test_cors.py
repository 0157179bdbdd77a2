"""Cross-origin headers: IS-10 "APIs" OPTIONS Requests; the Fetch standard's CORS protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmos_auth.request.cors import CrossOrigin

ORIGIN = "https://control.example.com"
OTHER = "https://evil.example.org"

Headers = list[tuple[bytes, bytes]]


def from_origin(origin: str, *asked: str) -> Headers:
    """Return the headers of a request from a page of this origin, asking to send these fields."""
    fields = [(b"access-control-request-headers", each.encode()) for each in asked]
    method = (b"access-control-request-method", b"PATCH")
    return [(b"host", b"node1.example.com"), (b"origin", origin.encode()), method, *fields]


def listed(headers: Headers, name: str) -> list[str]:
    """Return the entries of a comma-separated field."""
    values = [value.decode() for key, value in headers if key == name.encode()]
    return [entry.strip() for value in values for entry in value.split(",")]


def lowered(headers: Headers, name: str) -> set[str]:
    """Return the entries of a field whose entries are blind to case."""
    return {entry.lower() for entry in listed(headers, name)}


def test_any_origin_by_default() -> None:
    """Contract: CORS_ORIGINS is `*`, for pages and for those who are none."""
    cors = CrossOrigin(["*"])
    for request in (from_origin(OTHER), []):
        assert listed(cors.headers(request), "access-control-allow-origin") == ["*"]
        assert listed(cors.preflight_headers(request), "access-control-allow-origin") == ["*"]


def test_refusals_can_be_read_by_scripts() -> None:
    """Contract: "CORS headers on errors too, exposing `WWW-Authenticate` and `Retry-After`"."""
    for cors in (CrossOrigin(["*"]), CrossOrigin([ORIGIN])):
        exposed = lowered(cors.headers(from_origin(ORIGIN)), "access-control-expose-headers")
        assert {"www-authenticate", "retry-after"} <= exposed


def test_listed_origins_alone() -> None:
    """A listed origin is answered by name, any other by none, and caches are told to ask again."""
    cors = CrossOrigin([ORIGIN, "http://localhost:8080"])
    for give in (cors.headers, cors.preflight_headers):
        assert listed(give(from_origin(ORIGIN)), "access-control-allow-origin") == [ORIGIN]
        local = give(from_origin("http://localhost:8080"))
        assert listed(local, "access-control-allow-origin") == ["http://localhost:8080"]
        for request in (from_origin(OTHER), from_origin(ORIGIN + ".evil.example.org"), []):
            assert listed(give(request), "access-control-allow-origin") == []
            assert lowered(give(request), "vary") == {"origin"}
        assert lowered(give(from_origin(ORIGIN)), "vary") == {"origin"}


def test_no_origins_at_all() -> None:
    """An empty list lets no page read anything."""
    assert listed(CrossOrigin([]).headers(from_origin(ORIGIN)), "access-control-allow-origin") == []


def test_credentials_are_allowed_to_named_origins_only() -> None:
    """Fetch standard: with `*` they never are; an app that names origins may want them."""
    anyone, named = CrossOrigin(["*"]), CrossOrigin([ORIGIN])
    for request, cors, allowed in (
        (from_origin(ORIGIN), named, ["true"]),
        (from_origin(OTHER), named, []),
        ([], named, []),
        (from_origin(ORIGIN), anyone, []),
    ):
        for give in (cors.headers, cors.preflight_headers):
            assert listed(give(request), "access-control-allow-credentials") == allowed


@pytest.mark.parametrize(
    ("origins", "origin", "asked", "allowed"),
    [
        (["*"], OTHER, b"true", ["true"]),
        ([ORIGIN], ORIGIN, b"true", ["true"]),
        ([ORIGIN], OTHER, b"true", []),
        ([ORIGIN], ORIGIN, b"false", []),
        ([ORIGIN], ORIGIN, None, []),
    ],
)
def test_pages_of_public_networks(
    origins: list[str], origin: str, asked: bytes | None, allowed: list[str]
) -> None:
    """Private Network Access: a preflight that asks is told, where its origin may read at all."""
    request = from_origin(origin)
    if asked is not None:
        request.append((b"access-control-request-private-network", asked))
    headers = CrossOrigin(origins).preflight_headers(request)
    assert listed(headers, "access-control-allow-private-network") == allowed


def test_preflights_permit_the_authorization_header() -> None:
    """IS-10 "APIs": "explicitly permitting the use of the `Authorization` header" — no `*`."""
    for request in (from_origin(ORIGIN), from_origin(ORIGIN, "authorization"), []):
        allowed = lowered(
            CrossOrigin(["*"]).preflight_headers(request), "access-control-allow-headers"
        )
        assert {"authorization", "content-type"} <= allowed
        assert "*" not in allowed


def test_preflights_permit_every_method_of_the_apis() -> None:
    """IS-10: read and write are GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE."""
    headers = CrossOrigin(["*"]).preflight_headers(from_origin(ORIGIN))
    methods = listed(headers, "access-control-allow-methods")
    assert {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} <= set(methods)


@pytest.mark.parametrize(
    "asked",
    [
        ("x-request-id, x-trace",),
        ("x-request-id", "x-trace"),
        ("X-Request-ID,X-Trace",),
        ("x-trace,X-Trace,X-REQUEST-ID,authorization",),
    ],
)
def test_preflights_permit_the_fields_asked_for(asked: tuple[str, ...]) -> None:
    """Fields that the app itself may want are allowed too, once each."""
    headers = CrossOrigin(["*"]).preflight_headers(from_origin(ORIGIN, *asked))
    allowed = [each.lower() for each in listed(headers, "access-control-allow-headers")]
    assert {"authorization", "x-request-id", "x-trace"} <= set(allowed)
    assert len(allowed) == len(set(allowed))


@given(st.binary(max_size=60))
def test_what_is_asked_for_never_breaks_a_header(asked: bytes) -> None:
    """Junk in a request is not repeated: what comes back is a list of field names."""
    request = [(b"access-control-request-headers", asked), (b"origin", asked)]
    for cors in (CrossOrigin(["*"]), CrossOrigin([ORIGIN])):
        for name, value in cors.headers(request) + cors.preflight_headers(request):
            assert all(0x20 <= byte < 0x7F for byte in name + value)


def test_a_preflight_answer_stays_small() -> None:
    """However much is asked for, little comes back."""
    asked = ",".join(f"x-field-{number}" for number in range(10_000))
    headers = CrossOrigin(["*"]).preflight_headers(from_origin(ORIGIN, asked))
    assert sum(len(name) + len(value) for name, value in headers) < 8192
