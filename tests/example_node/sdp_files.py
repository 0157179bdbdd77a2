"""Session descriptions as devices write them: by the grammar of the RFCs, and with their habits.

Each is here with what it means. All are made up; the addresses are those of documentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from example_node.connection.sdp import Stream


@dataclass(frozen=True)
class File:
    """A description and what a Receiver of some media types finds in it.

    Attributes:
        name: what is peculiar to it.
        text: the description.
        accepted: the media types of the Receiver.
        encoding: the `a=rtpmap` of the media that it is to receive.
        streams: where it is to receive it.
        notes: what of the text is not as RFC 8866 has it.
    """

    name: str
    text: str
    accepted: Sequence[str]
    encoding: str
    streams: tuple[Stream, ...]
    notes: tuple[str, ...] = ()


def crlf(text: str) -> str:
    """End the lines as RFC 8866 does."""
    return text.replace("\n", "\r\n")


_RAW = ("video/raw",)
_PCM = ("audio/L24", "audio/L16")

VIDEO_1080P50 = """\
v=0
o=cam-7 3912000001 3912000004 IN IP4 192.0.2.17
s=Studio B camera 7
i=Iso feed: clean
t=0 0
a=recvonly
m=video 20000 RTP/AVP 96
c=IN IP4 233.252.0.17/16
b=AS:2200000
a=source-filter: incl IN IP4 233.252.0.17 192.0.2.17
a=rtpmap:96 raw/90000
a=fmtp:96 sampling=YCbCr-4:2:2; width=1920; height=1080; exactframerate=50; depth=10; TCS=SDR; \
colorimetry=BT709; PM=2110GPM; SSN=ST2110-20:2022; TP=2110TPN; TROFF=38; CMAX=4; MAXUDP=1460;
a=mediaclk:direct=0
a=ts-refclk:ptp=IEEE1588-2008:00-00-5E-FF-FE-00-53-01:127
"""

VIDEO_2160P60 = """\
v=0
o=- 44 45 IN IP4 198.51.100.9
s=UHD playout 1
t=0 0
m=video 5004 RTP/AVP 98
c=IN IP4 233.252.1.9/64
a=source-filter: incl IN IP4 233.252.1.9 198.51.100.9
a=rtpmap:98 raw/90000
a=fmtp:98 sampling=YCbCr-4:2:2; width=3840; height=2160; exactframerate=60000/1001; depth=10; \
TCS=HLG; colorimetry=BT2100; PM=2110GPM; SSN=ST2110-20:2017; TP=2110TPW
a=ts-refclk:localmac=00-00-5E-00-53-09
a=mediaclk:direct=0
"""

# Two media of one group, with a filter for each of them before the first.
SESSION_FILTERS = """\
v=0
o=- 7 7 IN IP4 192.0.2.40
s=Gateway out 3
t=0 0
a=group:DUP red blue
a=source-filter: incl IN IP4 233.252.0.40 192.0.2.40
a=source-filter: incl IN IP4 233.252.128.40 198.51.100.40
m=video 50020 RTP/AVP 112
c=IN IP4 233.252.0.40/32
a=rtpmap:112 raw/90000
a=fmtp:112 width=1920; height=1080; exactframerate=25; sampling=YCbCr-4:2:2; depth=10
a=mid:red
m=video 50020 RTP/AVP 112
c=IN IP4 233.252.128.40/32
a=rtpmap:112 raw/90000
a=fmtp:112 width=1920; height=1080; exactframerate=25; sampling=YCbCr-4:2:2; depth=10
a=mid:blue
"""
_RED = Stream("233.252.0.40", 50020, "192.0.2.40")
_BLUE = Stream("233.252.128.40", 50020, "198.51.100.40")

# A channel of a multiviewer: video, its audio and its ancillary data, each sent twice.
EVERYTHING_TWICE = """\
v=0
o=mv 1 2 IN IP4 192.0.2.60
s=MV head 1
t=0 0
a=group:DUP V1 V2
a=group:DUP A1 A2
a=group:DUP D1 D2
m=video 21000 RTP/AVP 96
c=IN IP4 233.252.2.1/32
a=source-filter: incl IN IP4 233.252.2.1 192.0.2.60
a=rtpmap:96 raw/90000
a=fmtp:96 width=1920;height=1080;exactframerate=25;sampling=YCbCr-4:2:2;depth=10;interlace;\
colorimetry=BT709;PM=2110BPM;SSN=ST2110-20:2017
a=mid:V1
m=audio 22000 RTP/AVP 97
c=IN IP4 233.252.2.2/32
a=source-filter: incl IN IP4 233.252.2.2 192.0.2.60
a=rtpmap:97 l24/48000/2
a=fmtp:97 channel-order=SMPTE2110.(ST)
a=ptime:0.125
a=mid:A1
m=video 23000 RTP/AVP 100
c=IN IP4 233.252.2.3/32
a=rtpmap:100 smpte291/90000
a=fmtp:100 VPID_Code=133
a=mid:D1
m=video 21000 RTP/AVP 96
c=IN IP4 233.252.130.1/32
a=source-filter: incl IN IP4 233.252.130.1 198.51.100.60
a=rtpmap:96 raw/90000
a=mid:V2
m=audio 22000 RTP/AVP 97
c=IN IP4 233.252.130.2/32
a=source-filter: incl IN IP4 233.252.130.2 198.51.100.60
a=rtpmap:97 L24/48000/2
a=ptime:0.125
a=mid:A2
m=video 23000 RTP/AVP 100
c=IN IP4 233.252.130.3/32
a=rtpmap:100 smpte291/90000
a=mid:D2
"""

AES67 = """\
v=0
o=- 1311738121 1311738121 IN IP4 192.0.2.80
s=Stage left inputs 1 to 8
c=IN IP4 239.69.11.44/32
t=0 0
a=clock-domain:PTPv2 0
m=audio 5004 RTP/AVP 98
i=8 channels: In 1, In 2, In 3, In 4, In 5, In 6, In 7, In 8
a=rtpmap:98 L24/48000/8
a=sync-time:0
a=framecount:6-48
a=ptime:1
a=recvonly
a=ts-refclk:ptp=IEEE1588-2008:00-00-5E-FF-FE-00-53-50:0
a=mediaclk:direct=963214424
"""

FILES = (
    File(
        "one path, with every attribute of ST 2110-20 and a semicolon at the end",
        crlf(VIDEO_1080P50),
        _RAW,
        "raw/90000",
        (Stream("233.252.0.17", 20000, "192.0.2.17"),),
    ),
    File(
        "two filters before the first media, one for each path",
        crlf(SESSION_FILTERS),
        _RAW,
        "raw/90000",
        (_RED, _BLUE),
    ),
    File(
        "two filters in each media, of which the second is its own",
        crlf(
            SESSION_FILTERS.replace(
                "a=mid",
                "a=source-filter: incl IN IP4 233.252.0.99 192.0.2.99\n"
                "a=source-filter: incl IN IP4 * 203.0.113.5\na=mid",
            )
        ),
        _RAW,
        "raw/90000",
        (
            Stream("233.252.0.40", 50020, "203.0.113.5"),
            Stream("233.252.128.40", 50020, "203.0.113.5"),
        ),
    ),
    File(
        "the first path is switched off",
        crlf(SESSION_FILTERS.replace("m=video 50020", "m=video 0", 1)),
        _RAW,
        "raw/90000",
        (Stream("233.252.0.40", 0, "192.0.2.40"), _BLUE),
    ),
    File(
        "the second path is switched off, and says nothing more",
        crlf(SESSION_FILTERS[: SESSION_FILTERS.rindex("m=")])
        + "m=video 0 RTP/AVP 112\r\na=rtpmap:112 raw/90000\r\na=mid:blue\r\n",
        _RAW,
        "raw/90000",
        (_RED, Stream("0.0.0.0", 0, None)),  # noqa: S104 - no path
    ),
    File(
        "of three kinds of media the Receiver's, with the group that it belongs to",
        crlf(EVERYTHING_TWICE),
        _PCM,
        "l24/48000/2",
        (
            Stream("233.252.2.2", 22000, "192.0.2.60"),
            Stream("233.252.130.2", 22000, "198.51.100.60"),
        ),
    ),
    File(
        "of two media of one kind the one of the Receiver's type, without a source filter",
        crlf(EVERYTHING_TWICE),
        ("video/smpte291",),
        "smpte291/90000",
        (Stream("233.252.2.3", 23000, None), Stream("233.252.130.3", 23000, None)),
    ),
    File(
        "an AES67 stream: the address before the time, no source filter",
        crlf(AES67),
        _PCM,
        "L24/48000/8",
        (Stream("239.69.11.44", 5004, None),),
    ),
    File(
        "a unicast stream with a payload type that needs no rtpmap",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns= \r\nc=IN IP4 192.0.2.200\r\nt=0 0\r\n"
        "m=audio 6000/2 RTP/AVP 10\r\n",
        _PCM,
        "L16/44100/2",
        (Stream("192.0.2.200", 6000, None),),
    ),
    File(
        "several payload types, of which the last is the Receiver's",
        AES67.replace("AVP 98", "AVP 0 96 98").replace(
            "a=sync", "a=rtpmap:96 opus/48000/2\na=sync"
        ),
        _PCM,
        "L24/48000/8",
        (Stream("239.69.11.44", 5004, None),),
    ),
    File(
        "IPv6, written in two ways",
        "v=0\r\no=- 1 1 IN IP6 2001:db8::5\r\ns=x\r\nt=0 0\r\nm=audio 5004 RTP/AVP 97\r\n"
        "c=IN IP6 FF3E:0:0::8000:1\r\na=source-filter:incl IN IP6 ff3e::8000:1 2001:DB8::5\r\n"
        "a=rtpmap:97 L16/48000/1\r\n",
        _PCM,
        "L16/48000/1",
        (Stream("ff3e::8000:1", 5004, "2001:db8::5"),),
    ),
    File(
        "two sources of one group (RFC 7104 Section 4.1)",
        crlf(
            AES67.replace(
                "a=sync-time:0\n",
                "a=source-filter: incl IN IP4 239.69.11.44 192.0.2.80 198.51.100.80\n"
                "a=ssrc:1000 cname:x@example.com\na=ssrc:1010 cname:x@example.com\n"
                "a=ssrc-group:DUP 1000 1010\n",
            )
        ),
        _PCM,
        "L24/48000/8",
        (
            Stream("239.69.11.44", 5004, "192.0.2.80"),
            Stream("239.69.11.44", 5004, "198.51.100.80"),
        ),
    ),
    File(
        "media that are not RTP, before and after",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.3\r\ns=x\r\nc=IN IP4 233.252.3.3/8\r\nt=0 0\r\n"
        "m=application 30000 UDP/FEC\r\na=mid:R1\r\n"
        "m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\n"
        "m=application 9 DTLS/SCTP webrtc-datachannel\r\n",
        _PCM,
        "L24/48000/2",
        (Stream("233.252.3.3", 5004, None),),
    ),
    File(
        "a byte order mark, blank lines between sections, spaces at line ends, double spaces",
        "\ufeff"
        + crlf(VIDEO_1080P50)
        .replace("m=video", "\r\nm=video  ")
        .replace("s=Studio B camera 7\r\n", "s=Studio B camera 7 \t\r\n\r\n")
        .replace("96 raw", "96   raw")
        + "\r\n\r\n",
        _RAW,
        "raw/90000",
        (Stream("233.252.0.17", 20000, "192.0.2.17"),),
        ("a byte order mark", "spaces round lines", "blank lines", "runs of spaces"),
    ),
    File(
        "format parameters that were wrapped, and a time to live in a source filter",
        VIDEO_1080P50.replace("exactframerate", "\n   exactframerate")
        .replace("colorimetry", "\n\tcolorimetry")
        .replace("incl IN IP4 233.252.0.17", "incl IN IP4 233.252.0.17/16")
        .replace("a=recvonly", "  a=recvonly"),
        _RAW,
        "raw/90000",
        (Stream("233.252.0.17", 20000, "192.0.2.17"),),
        ("lines that were wrapped", "spaces round lines", "runs of spaces"),
    ),
    File(
        "line ends of three kinds, and a last line without one",
        VIDEO_2160P60.replace("\nm=", "\r\nm=").replace("\na=rtpmap", "\ra=rtpmap").strip(),
        _RAW,
        "raw/90000",
        (Stream("233.252.1.9", 5004, "198.51.100.9"),),
        ("carriage returns without line feeds",),
    ),
    File(
        "fields in other cases than RFC 8866 has them",
        SESSION_FILTERS.replace("IN IP4 233", "in ip4 233")
        .replace("incl", "INCL")
        .replace("m=video", "m=Video")
        .replace("RTP/AVP", "rtp/avp")
        .replace("raw/90000", "RAW/90000"),
        _RAW,
        "RAW/90000",
        (_RED, _BLUE),
    ),
)
