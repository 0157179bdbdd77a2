"""Session descriptions: what is written, and what is read from those of others."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_node.connection.models import SenderPatch
from example_node.connection.rtp import RtpSenderParams, changes_from_streams
from example_node.connection.sdp import Media, SdpError, Session, Stream, parse, write
from example_node.connection.senders import RtpSender
from example_node.interfaces import NetworkInterface
from example_node.is04 import AudioChannel, Rational, VideoComponent
from example_node.media import media_of
from example_node.resources import AudioSource, RawAudioFlow, RawVideoFlow, VideoSource
from tests.example_node.sdp_files import (
    AES67,
    EVERYTHING_TWICE,
    FILES,
    SESSION_FILTERS,
    VIDEO_1080P50,
    File,
)
from tests.example_node.support import ManualClock

ID = "11111111-1111-4111-8111-111111111111"
VIDEO = Media("video", 96, "raw/90000", "width=1920; height=1080")

MULTICAST = """\
v=0
o=- 1 1 IN IP4 192.0.2.1
s=A stream
t=0 0
m=video 5020 RTP/AVP 96
c=IN IP4 239.7.7.7/32
a=source-filter: incl IN IP4 239.7.7.7 192.0.2.1
a=rtpmap:96 raw/90000
a=fmtp:96 width=1920; height=1080
"""


def changed(old: str, new: str) -> str:
    """The description above with one text for another."""
    assert old in MULTICAST
    return MULTICAST.replace(old, new)


def test_a_multicast_stream_is_written() -> None:
    """Each line is there once, ended by CR LF, in the order of RFC 4566."""
    session = Session(VIDEO, (Stream("239.1.1.1", 5004, "192.0.2.1"),))
    text = write(session, name="A sender", version=7, reference_clocks=["localmac=00-01"])
    assert text.split("\r\n") == [
        "v=0",
        "o=- 7 7 IN IP4 192.0.2.1",
        "s=A sender",
        "t=0 0",
        "m=video 5004 RTP/AVP 96",
        "c=IN IP4 239.1.1.1/64",
        "a=source-filter: incl IN IP4 239.1.1.1 192.0.2.1",
        "a=rtpmap:96 raw/90000",
        "a=fmtp:96 width=1920; height=1080",
        "a=ts-refclk:localmac=00-01",
        "a=mediaclk:direct=0",
        "",
    ]


def test_a_unicast_stream_has_no_time_to_live_and_no_source_filter() -> None:
    """Both belong to multicast (RFC 4566 section 5.7, RFC 4570)."""
    session = Session(VIDEO, (Stream("2001:db8::2", 5004, "2001:db8::1"),))
    text = write(session, name="A sender", version=7, reference_clocks=["localmac=00-01"])
    assert "c=IN IP6 2001:db8::2\r\n" in text
    assert "source-filter" not in text


streams = st.builds(
    Stream,
    st.sampled_from(["239.1.1.1", "232.9.8.7", "ff3e::8000:1"]),
    st.integers(1, 65535),
    st.sampled_from(["192.0.2.1", "198.51.100.2", "2001:db8::1"]),
)


@given(st.lists(streams, min_size=1, max_size=2))
def test_what_is_written_is_read_back(made: list[Stream]) -> None:
    """One stream, or the two of ST 2022-7, come back as they were."""
    session = Session(VIDEO, tuple(made))
    clocks = ["localmac=00-01"] * len(made)
    assert parse(write(session, name="s", version=1, reference_clocks=clocks)) == session


@given(st.text(max_size=80), st.integers(0, len(MULTICAST)), st.integers(0, 80))
def test_reading_raises_nothing_but_its_own_error(text: str, start: int, length: int) -> None:
    """Whatever the text, and however a good one is spoilt, it is read or an SdpError."""
    for spoilt in (text, MULTICAST[:start] + text + MULTICAST[start + length :]):
        with contextlib.suppress(SdpError):
            parse(spoilt)


def test_source_specific_multicast_is_read() -> None:
    """Group, port and source come from c=, m= and the source filter; line ends may vary."""
    for text in (MULTICAST, MULTICAST.replace("\n", "\r\n"), MULTICAST + "\n"):
        session = parse(text)
        assert session.streams == (Stream("239.7.7.7", 5020, "192.0.2.1"),)
        assert session.media == VIDEO
        assert session.media.media_type == "video/raw"


def test_a_group_without_source_filter_has_no_source() -> None:
    """Any-source multicast: the origin line is not taken for the source."""
    text = changed("a=source-filter: incl IN IP4 239.7.7.7 192.0.2.1\n", "")
    assert parse(text).streams == (Stream("239.7.7.7", 5020, None),)


def test_a_filter_for_another_group_is_not_ours() -> None:
    """A source filter applies to the destination that it names, or for `*`."""
    other = changed("incl IN IP4 239.7.7.7", "incl IN IP4 239.9.9.9")
    assert parse(other).streams[0].source is None
    every = changed("incl IN IP4 239.7.7.7", "incl IN * *")
    assert parse(every).streams[0].source == "192.0.2.1"


def test_what_the_media_leaves_out_the_session_says() -> None:
    """A connection line or source filter before the first media applies to the media."""
    line = "c=IN IP4 239.7.7.7/32\n"
    text = changed(line, "").replace("t=0 0\n", f"{line}t=0 0\n")
    assert parse(text).streams == parse(MULTICAST).streams


def test_duplicates_of_one_media_are_two_streams() -> None:
    """Two sources of one group, or one stream sent twice (RFC 7104 sections 4.1 and 4.3)."""
    duplicated = changed("a=rtpmap", "a=ssrc-group:DUP 1 2\na=rtpmap")
    assert parse(duplicated).streams == parse(MULTICAST).streams * 2
    sources = duplicated.replace("192.0.2.1\na=ssrc", "192.0.2.1 192.0.2.2\na=ssrc")
    assert [stream.source for stream in parse(sources).streams] == ["192.0.2.1", "192.0.2.2"]


def test_a_second_media_that_is_no_duplicate_is_left_out() -> None:
    """Only a group:DUP makes two media the two paths of one stream."""
    media = MULTICAST[MULTICAST.index("m=") :]
    assert len(parse(MULTICAST + media).streams) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with v=0"),
        ("v=1\n", "begins with v=0"),
        ("v=0\ns=x\n", "no m= line"),
        (changed("t=0 0", "t0 0"), "no line such as"),
        (changed("m=video 5020", "m=video x"), "m= line cannot"),
        (changed("5020", "0"), "cannot have the port"),
        (changed("5020", "99999"), "cannot have the port"),
        (changed("RTP/AVP", "UDP/FEC"), "not RTP"),
        (changed("a=rtpmap:96", "a=rtpmap:97"), "has no a=rtpmap"),
        (changed("c=IN IP4 239.7.7.7/32\n", ""), "no usable c="),
        (changed("c=IN IP4 239.7.7.7/32", "c=IN IP4 group.example.com"), "not an IP address"),
        (changed("239.7.7.7 192.0.2.1", "239.7.7.7 192.0.2"), "not an IP address"),
        (changed("filter: incl", "filter: excl"), "source-filter cannot"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, message: str) -> None:
    """The error says what is wrong with the description."""
    with pytest.raises(SdpError, match=message):
        parse(text)


def make_audio(symbols: list[str]) -> tuple[RawAudioFlow, AudioSource]:
    """An audio Flow of 16 bits and its Source."""
    core = {"id": ID, "version": "1:0", "label": "x", "device_id": ID}
    channels = tuple(AudioChannel(label=symbol, symbol=symbol) for symbol in symbols)
    source = AudioSource.model_validate({**core, "clock_name": None, "channels": channels})
    rate = Rational(numerator=96000)
    flow = {**core, "source_id": ID, "sample_rate": rate, "bit_depth": 16}
    return RawAudioFlow.model_validate({**flow, "media_type": "audio/L16"}), source


@pytest.mark.parametrize(
    ("symbols", "order"),
    [
        (["L", "R"], "ST"),
        (["M1"], "M"),
        (["Lt", "Rt"], "LtRt"),
        (["U01", "U02", "U03"], "U03"),
    ],
)
def test_audio_is_named_by_its_flow_and_source(symbols: list[str], order: str) -> None:
    """Bits, rate, number and order of channels are those of ST 2110-30."""
    media = media_of(*make_audio(symbols))
    assert media.encoding == f"L16/96000/{len(symbols)}"
    assert media.parameters == f"channel-order=SMPTE2110.({order})"
    assert media.attributes == ("ptime:1",)


def test_a_flow_does_not_go_with_another_formats_source() -> None:
    """An audio Flow of a video Source is a mistake of whoever describes the Node."""
    flow, audio = make_audio(["M1"])
    grain_rate = Rational(numerator=30000, denominator=1001)
    core = audio.model_dump(exclude={"format", "channels"})
    source = VideoSource.model_validate({**core, "grain_rate": grain_rate})
    with pytest.raises(ValueError, match="format:audio and its Source"):
        media_of(flow, source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MULTICAST + "a=x\n" * 20_000, "no more than 65536 characters"),
        (MULTICAST + "m=audio 5004 RTP/AVP 97\n" * 16, "no more than 16 media"),
        (MULTICAST + "a=source-filter: incl IN IP4 * 192.0.2.1\n" * 64, "too many source"),
        (changed("192.0.2.1\na=r", "192.0.2.1 " * 1000 + "\na=r"), "too many source"),
    ],
)
def test_what_would_take_long_to_read_is_refused(text: str, message: str) -> None:
    """Each media is looked up in all lines, so that a description must not have many of both."""
    with pytest.raises(SdpError, match=message):
        parse(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_of_devices_are_read(file: File) -> None:
    """Streams and media are those that the file means, and what it has amiss is noted."""
    session = parse(file.text, file.accepted)
    assert session.streams == file.streams
    assert session.media.encoding == file.encoding
    assert set(session.notes) == set(file.notes)


def test_a_wrapped_line_is_whole_again() -> None:
    """Its parameters are those of the line that was not wrapped."""
    wrapped = parse(VIDEO_1080P50.replace("width", "\n    width"))
    assert wrapped.media.parameters.split() == parse(VIDEO_1080P50).media.parameters.split()


@pytest.mark.parametrize(
    ("text", "accepted", "message"),
    [
        (VIDEO_1080P50, ["audio/L24"], "it offers video/raw, and this Receiver accepts audio/L24"),
        (EVERYTHING_TWICE, ["video/jxsv"], "it offers video/raw, audio/l24, video/smpte291, and"),
        (SESSION_FILTERS.replace("50020", "0"), ["video/raw"], "the port 0, which is off"),
        (AES67.replace("a=rtpmap:98", "a=rtpmap:99"), [], "no a=rtpmap"),
        (VIDEO_1080P50.replace("RTP/AVP", "RAW/RAW"), ["video/raw"], "is RAW/RAW, not RTP"),
        (changed("239.7.7.7/32", "fe80::1%eth0"), [], "not an IP address"),
        (changed("s=A", "s=\x00A"), [], "no NUL"),
    ],
)
def test_a_file_that_is_not_for_the_receiver_says_why(
    text: str, accepted: list[str], message: str
) -> None:
    """What the file offers is named beside what the Receiver takes."""
    with pytest.raises(SdpError, match=message):
        parse(text, accepted)


def test_an_excluding_filter_beside_an_including_one_adds_nothing() -> None:
    """The sources that a filter includes are all there are."""
    excluded = "a=source-filter: excl IN IP4 239.7.7.7 192.0.2.9\n"
    text = changed("a=rtpmap", f"{excluded}a=rtpmap")
    assert parse(text).streams == parse(MULTICAST).streams
    other = changed("a=rtpmap", "a=source-filter: excl IN IP4 239.9.9.9 192.0.2.9\na=rtpmap")
    assert parse(other).streams == parse(MULTICAST).streams


@given(st.text(max_size=40))
def test_no_name_adds_a_line(name: str) -> None:
    """Whatever people call a Sender, its description has the lines that it should have."""
    session = Session(VIDEO, (Stream("239.1.1.1", 5004, "192.0.2.1"),))
    text = write(session, name=name, version=1, reference_clocks=["localmac=00-01"])
    assert len(text.splitlines()) == 11
    assert parse(text) == session
    assert parse(text).notes == ()


WIDTHS = st.sampled_from([1280, 1920, 3840])
RATES = st.builds(Rational, numerator=st.integers(1, 60000), denominator=st.sampled_from([1, 1001]))


@st.composite
def video_flows(draw: st.DrawFn) -> tuple[RawVideoFlow, VideoSource]:
    """Any video Flow that a Node can describe, and its Source."""
    core = {"id": ID, "version": "1:0", "label": "x", "device_id": ID}
    width, rate = draw(WIDTHS), draw(RATES)
    chroma = width // draw(st.sampled_from([1, 2]))
    depth = draw(st.sampled_from([8, 10, 12, 16]))
    flow = RawVideoFlow(
        **core,
        source_id=ID,
        grain_rate=rate,
        frame_width=width,
        frame_height=draw(st.integers(1, 4320)),
        colorspace=draw(st.sampled_from(["BT709", "BT2020", "BT2100"])),
        transfer_characteristic=draw(st.sampled_from(["SDR", "PQ", "HLG"])),
        components=(
            VideoComponent(name="Y", width=width, height=1080, bit_depth=depth),
            VideoComponent(name="Cb", width=chroma, height=1080, bit_depth=depth),
            VideoComponent(name="Cr", width=chroma, height=1080, bit_depth=depth),
        ),
    )
    return flow, VideoSource(**core, clock_name=None, grain_rate=rate)


audio_flows = st.lists(st.sampled_from(["L", "R", "M1", "U01"]), min_size=1, max_size=16).map(
    make_audio
)
legs = st.fixed_dictionaries(
    {
        "destination_ip": st.sampled_from(["auto", "239.1.2.3", "192.0.2.77", "FF3E:0::8000:1"]),
        "destination_port": st.one_of(st.just("auto"), st.integers(1024, 65535)),
    }
)


@given(st.one_of(video_flows(), audio_flows), st.lists(legs, min_size=1, max_size=2))
def test_every_description_of_a_sender_reads_back_the_same(
    flow: tuple[RawVideoFlow | RawAudioFlow, VideoSource | AudioSource],
    legs: list[dict[str, object]],
) -> None:
    """What a Sender writes of its active legs, a Receiver of its media type reads."""

    async def nothing(_: object) -> None:
        """Program nothing."""

    interface = NetworkInterface(name="eth0", mac="00-00-5e-00-53-01", address="192.0.2.1")
    sender = RtpSender(
        ID,
        name="Any sender",
        media=media_of(*flow),
        interfaces=[interface] * len(legs),
        clock=ManualClock(),
        apply=nothing,
    )
    patch = SenderPatch.model_validate({"transport_params": legs})
    sender.active = sender.resolve(sender.merge(patch))
    session = parse(sender.transport_file(), [flow[0].media_type])
    assert session.media == media_of(*flow)
    assert session.notes == ()
    read = changes_from_streams(session.streams, len(legs))
    for leg, change in zip(sender.active.transport_params, read, strict=True):
        assert isinstance(leg, RtpSenderParams)
        destination = str(ipaddress.ip_address(leg.destination_ip))
        assert destination in {change["multicast_ip"], change["interface_ip"]}
        assert change["destination_port"] == leg.destination_port
        is_multicast = change["multicast_ip"] is not None
        assert change["source_ip"] == (leg.source_ip if is_multicast else None)
