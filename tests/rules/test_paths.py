"""One path: what a request target is, before anything is decided about it."""

from __future__ import annotations

import contextlib
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from nmos_auth.errors import MalformedTarget
from nmos_auth.rules import paths
from nmos_auth.rules.paths import (
    ApiPath,
    CanonicalPath,
    api_path,
    canonical_path,
    is_canonical_rest,
    locate,
)
from tests.support.costs import cost_in_turns

# Segments that are dots, look like dots, become dots when decoded once or twice, or are plain.
DOTS = ["..", ".", "%2e%2e", "%2E.", ".%2e", "%2e", "%2E"]
PLAIN = ["a", "b", "v1.3", "...", ".a", "..a", "a..", "..;", "%252e%252e", "%41", "%20", "%c3%a9"]
PLAIN += ["x-nmos", "X-NMOS", "node", "*", "%3f", "%23", "%25", "a%3Bb", ":@", "~-_", "%e2%80%a8"]

RAW_SEGMENTS = st.sampled_from(DOTS + PLAIN)
ENDINGS = st.sampled_from(["", "/"])


def _joined(segments: list[str], ending: str) -> bytes:
    return ("".join("/" + each for each in segments) + ending or "/").encode()


RAW_PATHS = st.builds(_joined, st.lists(RAW_SEGMENTS, max_size=7), ENDINGS)
DOTLESS_RAW_PATHS = st.builds(_joined, st.lists(st.sampled_from(PLAIN), max_size=7), ENDINGS)


def decoded(raw: bytes) -> str:
    """Decode a path as an ASGI server does."""
    return unquote(raw.decode("ascii"), errors="strict")


def canonical(raw: bytes) -> CanonicalPath:
    """Return the canonical form of a path as it comes over the wire."""
    return canonical_path(decoded(raw), raw)


def remove_dot_segments(path: str) -> str:
    """Do what RFC 3986 Section 5.2.4 says, step by step, with its two buffers."""
    given_to, output = path, ""
    while given_to:
        if given_to.startswith(("../", "./")):  # A
            given_to = given_to.partition("/")[2]
        elif given_to.startswith("/./"):  # B
            given_to = given_to[2:]
        elif given_to == "/.":
            given_to = "/"
        elif given_to.startswith("/../"):  # C
            given_to = given_to[3:]
            output = output[: max(output.rfind("/"), 0)]
        elif given_to == "/..":
            given_to = "/"
            output = output[: max(output.rfind("/"), 0)]
        elif given_to in {".", ".."}:  # D
            given_to = ""
        else:  # E
            end = given_to.find("/", 1)
            end = len(given_to) if end < 0 else end
            output += given_to[:end]
            given_to = given_to[end:]
    return output


class Landing:
    """An endpoint that says it was reached, and with what."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Tell by a message of its own."""
        await send({"type": self.name, "parameters": scope.get("path_params", {})})


ROUTER = Router(
    [
        Route("/", Landing("root")),
        Route("/a", Landing("a")),
        Route("/a/", Landing("a, slash")),
        Route("/a/{id}", Landing("a, one")),
        Route("/b/{id}/v1.3", Landing("b, version")),
        Mount("/x-nmos/node", Landing("mount")),
        Route("/x-nmos/{rest:path}", Landing("nmos")),
        Route("/é/{rest:path}", Landing("é")),
        Route("/{one}/{two}", Landing("two")),
    ],
    redirect_slashes=False,
    default=Landing("nowhere"),
)


def reached(path: str) -> Message:
    """Tell what a real router does with a path; nothing on the way waits for anything."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("no endpoint asks for the body")

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    with contextlib.suppress(StopIteration):
        ROUTER(scope, receive, send).send(None)
    (message,) = messages
    return message


# Canonical form


@given(RAW_PATHS)
@example(b"/")
@example(b"/%2e%2e")
@example(b"/a/%252e%252e/b")
def test_canonicalisation_is_idempotent(raw: bytes) -> None:
    """The canonical form of a canonical form is itself, with its raw form or without."""
    once = canonical(raw)
    assert canonical_path(once.text, once.raw) == once
    assert canonical_path(once.text, None) == once


@given(RAW_PATHS)
def test_text_and_raw_form_are_one_path(raw: bytes) -> None:
    """Whatever decodes `raw_path` again, as some frameworks do, gets the same path."""
    text, again = canonical(raw)
    assert decoded(again) == text
    assert b"?" not in again
    assert b"#" not in again


@given(RAW_PATHS)
def test_dot_segments_are_removed_as_rfc_3986_has_it(raw: bytes) -> None:
    """Decoded once, dot segments go as in RFC 3986 Section 5.2.4, and nothing else changes."""
    assert canonical(raw).text == remove_dot_segments(decoded(raw))


@given(DOTLESS_RAW_PATHS)
def test_a_path_without_dots_reaches_the_same_handler(raw: bytes) -> None:
    """Canonicalisation changes nothing about where such a path leads."""
    assert reached(canonical(raw).text) == reached(decoded(raw))


@given(RAW_PATHS)
@example(b"/b/../a")
@example(b"/x-nmos/node/%2e%2e/query")
@example(b"/%2e%2e/a/b/v1.3/../.")
def test_a_path_with_dots_reaches_the_handler_of_its_normal_form(raw: bytes) -> None:
    """The app gets the path that RFC 3986 makes of the target, and so does the decision."""
    assert reached(canonical(raw).text) == reached(remove_dot_segments(decoded(raw)))


@given(st.text(max_size=30), st.none() | st.binary(max_size=30))
@example("/\ud800", None)
@example("/\ud800", b"/\xff")
@example("", b"")
@example("*", b"*")
@example("/", b"")
def test_no_path_raises_anything_but_its_own_error(path: str, raw_path: bytes | None) -> None:
    """Whatever a server puts into a scope has a canonical form or is malformed."""
    try:
        found = canonical_path(path, raw_path)
    except MalformedTarget:
        return
    assert found.text.startswith("/")
    assert found.raw.isascii()
    assert canonical_path(found.text, found.raw) == found


@given(st.binary(max_size=30).map(lambda tail: b"/" + tail))
def test_any_raw_path_is_canonical_or_malformed(raw: bytes) -> None:
    """Bytes in a target that survive are safe: no dots, empty segments, controls, backslashes."""
    path = unquote(raw.partition(b"?")[0].decode("latin-1"), errors="replace")
    try:
        text = canonical_path(path, raw).text
    except MalformedTarget:
        return
    segments = text.split("/")[1:]
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    assert "\\" not in text
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # RFC 3986 Section 5.2.4, its example
        (b"/a/b/c/./../../g", "/a/g"),
        # RFC 3986 Section 5.4.1 and 5.4.2, relative to http://a/b/c/d;p?q
        (b"/b/c/.", "/b/c/"),
        (b"/b/c/./", "/b/c/"),
        (b"/b/c/..", "/b/"),
        (b"/b/c/../", "/b/"),
        (b"/b/c/../g", "/b/g"),
        (b"/b/c/../..", "/"),
        (b"/b/c/../../../g", "/g"),
        (b"/../g", "/g"),
        (b"/b/c/g.", "/b/c/g."),
        (b"/b/c/.g", "/b/c/.g"),
        (b"/b/c/g..", "/b/c/g.."),
        (b"/b/c/..g", "/b/c/..g"),
        (b"/b/c/./g/.", "/b/c/g/"),
        (b"/b/c/g;x=1/../y", "/b/c/y"),
        # IS-10 "Behaviour: Access Tokens": "`/x-nmos/connection/v1.1/single/../bulk` MUST NOT be
        # permitted by `single/*`"
        (b"/x-nmos/connection/v1.1/single/../bulk", "/x-nmos/connection/v1.1/bulk"),
        (b"/x-nmos/connection/v1.1/single/%2e%2e/bulk", "/x-nmos/connection/v1.1/bulk"),
        (b"/x-nmos/connection/v1.1/single/.%2E/bulk", "/x-nmos/connection/v1.1/bulk"),
        # RFC 3986 Section 6.2.2.2: escaped unreserved characters are their own equals
        (b"/%7Euser/%61", "/~user/a"),
        # RFC 3986 Section 2.4: "must not percent-encode or decode the same string more than once"
        (b"/a/%252e%252e/b", "/a/%2e%2e/b"),
        (b"/a%252Fb", "/a%2Fb"),
        (b"/a%25ff", "/a%ff"),
        # RFC 3986 Section 2.5: UTF-8
        (b"/caf%C3%A9", "/café"),
        # RFC 3986 Section 3.4: the query is not part of the path
        (b"/a?b=/../c", "/a"),
        (b"/a?b=%2F%zz//", "/a"),
        # RFC 3986 Section 3.3: only complete segments of dots are special
        (b"/.../a", "/.../a"),
        (b"/a/..;/b", "/a/..;/b"),
    ],
)
def test_canonical_forms(raw: bytes, text: str) -> None:
    """What RFC 3986 and IS-10 give as examples comes out as they have it."""
    path = decoded(raw.partition(b"?")[0])
    assert canonical_path(path, raw).text == text


@pytest.mark.parametrize(
    "raw",
    [
        # Design, decisions, "encoded slashes, backslashes, control characters, `//`, bad UTF-8 or
        # escapes → 400"
        b"/a%2Fb",
        b"/a%2fb",
        b"/x-nmos%2Fnode",
        b"/a/..%2Fb",
        b"/a%5Cb",
        b"/a%5c..%5cb",
        b"/a\\b",
        b"/a%00",
        b"/a%0A",
        b"/a%0d%0aX:y",
        b"/a%7F",
        b"/a%C2%85",
        b"/a\tb",
        b"//",
        b"//a",
        b"/a//b",
        b"/a//",
        b"/a/.//b",
        b"/a/..//b",
        b"/a%",
        b"/a%4",
        b"/a%zz",
        b"/a%u0041",
        b"/%ff",
        b"/%C3",
        b"/%C0%AE%C0%AE/b",  # an overlong dot: RFC 3629 Section 3 forbids decoding it
        b"/%ED%A0%80",  # a surrogate: RFC 3629 Section 3
        b"/%F4%90%80%80",  # above U+10FFFF
        b"/\xff",
        # RFC 9112 Section 3.2: origin-form begins with a slash and has no fragment
        b"",
        b"*",
        b"a",
        b"http://host/a",
        b"/a#b",
    ],
)
def test_malformed_targets(raw: bytes) -> None:
    """A target that readers could take in more than one way is refused."""
    path = unquote(raw.decode("latin-1"), errors="replace")
    with pytest.raises(MalformedTarget):
        canonical_path(path, raw)


@pytest.mark.parametrize("raw", [b"/%ff", b"/%C3", b"/%f0%9f%98", b"/%E2%82/a"])
@pytest.mark.parametrize("errors", ["replace", "ignore", "surrogateescape", "latin-1"])
def test_bad_utf_8_is_refused_whatever_a_server_made_of_it(raw: bytes, errors: str) -> None:
    """Servers decode what is not UTF-8 in many ways, some into as many bytes as came."""
    path = unquote_to_bytes(raw).decode("latin-1")
    if errors != "latin-1":
        path = unquote_to_bytes(raw).decode(errors=errors)
    with pytest.raises(MalformedTarget):
        canonical_path(path, raw)


def test_bad_utf_8_is_refused_where_the_path_was_rewritten() -> None:
    """However long the path is that something in front put in its place."""
    for length in range(3, 12):
        with pytest.raises(MalformedTarget):
            canonical_path("/" + "a" * length, b"/%ff")


@pytest.mark.parametrize("path", ["//a", "/a\\b", "/a\nb", "/a\x85", "", "a", "/\udcff"])
def test_malformed_paths_without_a_raw_path(path: str) -> None:
    """`raw_path` is optional in ASGI: what can be told from the path alone is refused too."""
    with pytest.raises(MalformedTarget):
        canonical_path(path, None)


def test_a_path_that_something_in_front_rewrote_is_what_counts() -> None:
    """The app routes by `path`, so the decision is about it and `raw_path` follows."""
    assert canonical_path("/b/../c d", b"/prefix/b") == CanonicalPath("/c d", b"/c%20d")


def test_a_rewritten_path_is_not_decoded_again() -> None:
    """Percent signs in a path that is decoded already stand for themselves."""
    assert canonical_path("/%2e%2e/a", b"/front").text == "/%2e%2e/a"


# Below /x-nmos


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        # IS-10 "Behaviour: Resource Servers", Path Validation, row by row
        ("/", "", None),
        ("/x-nmos", "", ApiPath("", None, is_root=True)),
        ("/x-nmos/", "", ApiPath("", None, is_root=True)),
        ("/x-nmos/node", "", ApiPath("node", "", is_root=False)),
        ("/x-nmos/node/", "", ApiPath("node", "", is_root=False)),
        ("/x-nmos/node/v1.3", "", ApiPath("node", "", is_root=False)),
        ("/x-nmos/node/v1.3/", "", ApiPath("node", "", is_root=False)),
        ("/x-nmos/node/v1.3/self", "", ApiPath("node", "self", is_root=False)),
        ("/x-nmos/node/v1.3/self/", "", ApiPath("node", "self", is_root=False)),
        ("/x-nmos/query/v1.12/a/b", "", ApiPath("query", "a/b", is_root=False)),
        ("/x-nmos/node/v1.3/v1.3/v1.3", "", ApiPath("node", "v1.3/v1.3", is_root=False)),
        # IS-04 "APIs": "The versioning format is `v<MAJOR>.<MINOR>`"; nothing else has an API
        # version that a specifier could start after
        ("/x-nmos/node/self", "", ApiPath("node", None, is_root=False)),
        ("/x-nmos/node/v1", "", ApiPath("node", None, is_root=False)),
        ("/x-nmos/node/V1.3/self", "", ApiPath("node", None, is_root=False)),
        ("/x-nmos/node/v1.3.0/self", "", ApiPath("node", None, is_root=False)),
        ("/x-nmos/node/v1.3 /self", "", ApiPath("node", None, is_root=False)),
        ("/x-nmos/node/v\u0661.\u0663/self", "", ApiPath("node", None, is_root=False)),
        # Design, decisions: paths outside `/x-nmos` are the app's own
        ("/docs", "", None),
        ("/x-nmos-2/node", "", None),
        ("/x-nmo", "", None),
        ("/ui/x-nmos/node", "", None),
        # Design, decisions: "`/X-NMOS` is no way round", and nothing public either
        ("/X-NMOS", "", ApiPath("", None, is_root=False)),
        ("/X-Nmos/node/v1.3/self", "", ApiPath("node", "self", is_root=False)),
        # Design, decisions: "`root_path` only ever goes by whole segments"
        ("/app/x-nmos/node/v1.3/self", "/app", ApiPath("node", "self", is_root=False)),
        ("/app/x-nmos/node/v1.3/self", "/app/", ApiPath("node", "self", is_root=False)),
        ("/a/b/x-nmos", "/a/b", ApiPath("", None, is_root=True)),
        ("/app/docs", "/app", None),
        ("/application/x-nmos/node", "/app", None),
        ("/app", "/app", None),
        ("/x-nmos/node/v1.3/self", "/app", ApiPath("node", "self", is_root=False)),
        # An app may be mounted below /x-nmos; what it is mounted at still names the API.
        ("/x-nmos/node/v1.3/self", "/x-nmos", ApiPath("node", "self", is_root=False)),
        ("/x-nmos/node/v1.3/self", "/x-nmos/node", ApiPath("node", "self", is_root=False)),
        ("/x-nmos/node/v1.3/self", "/x-nmos/node/v1.3", ApiPath("node", "self", is_root=False)),
        ("/x-nmos/node/v1.3/self", "/x-nm", ApiPath("node", "self", is_root=False)),
    ],
)
def test_api_paths(path: str, root_path: str, expected: ApiPath | None) -> None:
    """A path is taken apart as the table of IS-10 has it, wherever the app is mounted."""
    assert api_path(path, root_path) == expected


@given(RAW_PATHS, st.text("/ax-nmos.", max_size=12) | st.text(max_size=5))
def test_no_root_path_raises_or_hides_the_nmos_root(raw: bytes, root_path: str) -> None:
    """A path under `/x-nmos` is under it whatever `root_path` says."""
    path = canonical(raw).text
    target = api_path(path, root_path)
    if path.split("/")[1].lower() == "x-nmos":
        assert target is not None


@given(st.text(max_size=20), st.text(max_size=10))
def test_no_path_makes_api_path_raise(path: str, root_path: str) -> None:
    """Taking a path apart is total, canonical or not."""
    target = api_path(path, root_path)
    assert target is None or isinstance(target, ApiPath)


@given(RAW_PATHS)
def test_a_rest_has_no_trailing_slash_and_no_dots(raw: bytes) -> None:
    """What permissions are matched with is canonical itself."""
    target = api_path(canonical(b"/x-nmos/node/v1.3" + raw).text, "")
    if target is not None and target.rest:
        assert not target.rest.endswith("/")
        assert is_canonical_rest(target.rest)


@given(RAW_PATHS, st.sampled_from(["", "/a", "/x-nmos"]))
def test_a_remembered_path_is_the_same(raw: bytes, root_path: str) -> None:
    """Remembering paths changes no answer."""
    for _ in range(2):
        canonicalised, root, target = locate(decoded(raw), raw, root_path)
        assert canonicalised == canonical(raw)
        assert root == root_path
        assert target == api_path(canonicalised.text, root_path)


@given(
    DOTLESS_RAW_PATHS,
    st.sampled_from(["", "/a", "/x-nmos", "/a/x-nmos", "/a/b"]),
    st.sampled_from(["", "/"]),
    st.booleans(),
    st.booleans(),
)
def test_the_spelling_of_a_root_path_means_nothing(
    raw: bytes,
    root: str,
    end: str,
    start: bool,  # noqa: FBT001
    with_raw: bool,  # noqa: FBT001
) -> None:
    """A slash at its end or none at its start changes neither the path nor what it stands for."""
    spelt = (root if start else root.removeprefix("/")) + end
    path = spelt + decoded(raw)
    raw_path = spelt.encode() + raw if with_raw else None
    expected = locate(root + decoded(raw), root.encode() + raw, root)
    assert locate(path, raw_path, spelt) == expected
    assert expected.root_path == root


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        # uvicorn --root-path /proxy/, proxy and /
        ("/proxy//x-nmos/node", "/proxy/", "/proxy/x-nmos/node"),
        ("proxy/x-nmos/node", "proxy", "/proxy/x-nmos/node"),
        ("//x-nmos/node", "/", "/x-nmos/node"),
        ("/proxy//", "/proxy/", "/proxy/"),
        # Servers that leave the path as it came, and those that join the two with one slash
        ("/x-nmos/node", "/", "/x-nmos/node"),
        ("/x-nmos/node", "/proxy/", "/x-nmos/node"),
        ("/proxy/x-nmos/node", "/proxy/", "/proxy/x-nmos/node"),
        ("/proxy/", "/proxy/", "/proxy/"),
    ],
)
def test_root_paths_of_servers(path: str, root_path: str, expected: str) -> None:
    """What servers make of `--root-path` leads where it would with the root spelt properly."""
    for raw_path in (path.encode(), None):
        located = locate(path, raw_path, root_path)
        assert located.path == CanonicalPath(expected, expected.encode())
        assert located.root_path == root_path.strip("/").join(
            ["/", ""] if "p" in root_path else [""]
        )


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/proxy///x-nmos", "/proxy/"),
        ("//x-nmos/node", "/proxy/"),
        ("proxyx-nmos/node", "proxy"),
        ("//proxyx-nmos/node", "//proxy"),
        ("///x-nmos", "/"),
        ("", ""),
        ("", "/"),
        ("proxy", "proxy"),
    ],
)
def test_root_paths_hide_no_malformed_target(path: str, root_path: str) -> None:
    """A root path goes by whole segments; what is malformed behind it stays so."""
    for raw_path in (path.encode(), None):
        with pytest.raises(MalformedTarget):
            locate(path, raw_path, root_path)


ORIGINS = ["http://node1.example.com", "https://[2001:db8::1]:443", "HTTP://u@h:80", "http://"]


@given(RAW_PATHS, st.sampled_from(ORIGINS), st.sampled_from(["", "/a", "/x-nmos"]), st.booleans())
def test_absolute_form_stands_for_its_path(
    raw: bytes,
    origin: str,
    root: str,
    with_raw: bool,  # noqa: FBT001
) -> None:
    """RFC 9112 Section 3.2.2: the absolute form is accepted, whatever host it names."""
    raw_path = root.encode() + origin.encode() + raw if with_raw else None
    expected = locate(root + decoded(raw), root.encode() + raw if with_raw else None, root)
    assert locate(root + origin + decoded(raw), raw_path, root) == expected


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("http://h//x-nmos", b"http://h//x-nmos"),
        ("http:/x-nmos", b"http:/x-nmos"),
        ("ftp://h/x-nmos", b"ftp://h/x-nmos"),
        ("xhttp://h/x-nmos", b"xhttp://h/x-nmos"),
        ("http://h/xhttp://h/x-nmos", b"http://h/xhttp://h/x-nmos"),
        ("http://h/x-nmos", b"http%3A//h/x-nmos"),
        ("http://h/x-nmos", b"%68ttp://h/x-nmos"),
        ("http://h\\x-nmos", b"http://h%5Cx-nmos"),
        ("http://h/x-nmos", b"http://h%2Fx-nmos"),
        ("http://hé/x-nmos", "http://hé/x-nmos".encode()),
    ],
)
def test_what_only_looks_like_an_absolute_form(path: str, raw_path: bytes) -> None:
    """Other schemes, and what becomes an absolute form by decoding, are not request targets."""
    with pytest.raises(MalformedTarget):
        locate(path, raw_path, "")


def test_an_absolute_form_without_a_path_stands_for_the_root() -> None:
    """RFC 9110 Section 4.2.3: an empty path is the same as "/"."""
    for root, expected in (("", "/"), ("/proxy", "/proxy/")):
        located = locate(f"{root}http://h", f"{root}http://h".encode(), root)
        assert located.path.text == expected
        assert located.target is None


@pytest.mark.parametrize("version", ["", "/v1.3/self"])
def test_an_app_mounted_exactly_at_the_nmos_root(version: str) -> None:
    """A path that is the root path itself, or lies below it, is under `/x-nmos`."""
    assert api_path("/x-nmos", "/x-nmos") == ApiPath("", None, is_root=True)
    assert api_path("/x-nmos/node" + version, "/x-nmos/node") == ApiPath(
        "node", version[6:], is_root=False
    )
    assert api_path("/a/x-nmos", "/a/x-nmos") == ApiPath("", None, is_root=True)


def test_what_is_remembered_is_bounded_by_both_spellings() -> None:
    """A short path whose raw spelling is long is not remembered, nor the other way round."""
    paths._locate_remembered.cache_clear()
    locate("/" + "a" * 200, b"/" + b"%61" * 200, "")
    assert paths._locate_remembered.cache_info().currsize == 0
    locate("/" + "a" * 600, b"/" + b"a" * 60, "")
    assert paths._locate_remembered.cache_info().currsize == 0
    locate("/" + "a" * 200, b"/" + b"a" * 200, "")
    assert paths._locate_remembered.cache_info().currsize == 1


LONG = 60_000


@pytest.mark.parametrize(
    "raw",
    [
        b"/a" * (LONG // 2),
        b"/" + b"%61" * (LONG // 3),
        b"/%2e%2e" * (LONG // 7),
        b"/a/.." * (LONG // 5),
        b"/" + b"%c3%a9" * (LONG // 6),
        b"/" + b"%ff" * (LONG // 3),
        b"/" + b"a" * LONG + b"%",
        b"http://" + b"h" * LONG,
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_no_path_takes_long(raw: bytes) -> None:
    """The longest path takes no longer than a server takes to decode it, whatever it is made of."""
    path = unquote(raw.decode("ascii"))

    def look() -> None:
        with contextlib.suppress(MalformedTarget):
            locate(path, raw, "")

    assert cost_in_turns(look) < 350_000


def test_a_malformed_path_is_refused_every_time() -> None:
    """A refusal is not an answer to remember as something else."""
    for _ in range(2):
        with pytest.raises(MalformedTarget):
            locate("/a//b", b"/a//b", "")


def test_long_paths_are_located_too() -> None:
    """Paths too long to be remembered get the same answer."""
    path = "/x-nmos/node/v1.3/" + "a" * 5000
    assert locate(path, path.encode(), "").target == ApiPath("node", "a" * 5000, is_root=False)


@given(st.lists(st.sampled_from(["a", ".", "..", "...", "b c", "é", "%2e"]), max_size=6), ENDINGS)
def test_a_canonical_rest_is_one_that_canonicalisation_leaves_alone(
    segments: list[str], ending: str
) -> None:
    """`is_canonical_rest` and `canonical_path` agree on what has no other spelling."""
    rest = "/".join(segments) + (ending if segments else "")
    path = "/" + rest
    expected = canonical_path(path, quote(path).encode()).text == path
    assert is_canonical_rest(rest) == expected
