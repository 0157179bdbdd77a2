"""Transport files: those that Senders serve, and those that Receivers are given."""

import re

import httpx2
import pytest
from fastapi import FastAPI

import nmos_auth
from example_node import Settings, create_app
from example_node.node import ReferenceNode
from example_node.resources import RTP
from tests.example_node.support import (
    BULK,
    SINGLE,
    UNKNOWN,
    ManualClock,
    assert_error,
    rtp_only,
    running,
)

SDP = """\
v=0
o=- 1 1 IN IP4 192.0.2.1
s=A stream
t=0 0
m=video 5020 RTP/AVP 96
c=IN IP4 239.7.7.7/32
a=source-filter: incl IN IP4 239.7.7.7 192.0.2.1
a=rtpmap:96 raw/90000
a=fmtp:96 sampling=YCbCr-4:2:2; width=1920; height=1080; interlace; exactframerate=25
"""
REDUNDANT = (
    SDP.replace("t=0 0\n", "t=0 0\na=group:DUP a b\n")
    + "a=mid:a\n"
    + SDP[SDP.index("m=") :].replace("239.7.7.7", "239.8.8.8")
    + "a=mid:b\n"
)
IMMEDIATE = {"activation": {"mode": "activate_immediate"}}
FIRST_LEG = {
    "source_ip": "192.0.2.1",
    "multicast_ip": "239.7.7.7",
    "interface_ip": "auto",
    "destination_port": 5020,
    "rtp_enabled": True,
}
SECOND_LEG = {**FIRST_LEG, "multicast_ip": "239.8.8.8"}
two_legs = pytest.mark.parametrize("legs", [2])


def given(text: str | None, **others: object) -> dict[str, object]:
    """A patch with a transport file."""
    kind = None if text is None else "application/sdp"
    return {"transport_file": {"data": text, "type": kind}, **others}


async def test_a_sender_serves_what_is_active(client: httpx2.AsyncClient, sender: str) -> None:
    """Ports and addresses of the SDP are those of `active`, not those that are only staged."""
    patch = {"transport_params": [{"destination_ip": "239.1.2.3", "destination_port": 6000}]}
    await client.patch(f"{sender}/staged", json=patch)
    before = (await client.get(f"{sender}/transportfile")).text
    assert "239.1.2.3" not in before
    await client.patch(f"{sender}/staged", json=IMMEDIATE)
    after = (await client.get(f"{sender}/transportfile")).text
    assert "m=video 6000 RTP/AVP 96\r\nc=IN IP4 239.1.2.3/64\r\n" in after
    assert "a=source-filter: incl IN IP4 239.1.2.3 127.0.0.1\r\n" in after
    assert "group:DUP" not in after


async def test_the_session_version_increases(
    client: httpx2.AsyncClient, sender: str, clock: ManualClock
) -> None:
    """The version of the o= line grows when the description changes (RFC 4566 section 5.2)."""
    versions = []
    for port in (6000, 6001):
        await clock.advance("0:1")
        patch = {"transport_params": [{"destination_port": port}], **IMMEDIATE}
        await client.patch(f"{sender}/staged", json=patch)
        text = (await client.get(f"{sender}/transportfile")).text
        match = re.search(r"^o=- \d+ (\d+) ", text, re.MULTILINE)
        assert match is not None
        versions.append(int(match[1]))
    assert versions == sorted(set(versions))


async def test_media_are_those_of_flow_and_source(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """rtpmap, fmtp and reference clock say what the IS-04 resources say."""
    texts = [
        (await client.get(f"{SINGLE}/senders/{sender_id}/transportfile")).text
        for sender_id in rtp_only(node.senders)
    ]
    video = next(text for text in texts if "m=video" in text)
    assert "a=rtpmap:96 raw/90000\r\n" in video
    assert "sampling=YCbCr-4:2:2; width=1920; height=1080; exactframerate=25; depth=10" in video
    assert "TCS=SDR; colorimetry=BT709; PM=2110GPM; SSN=ST2110-20:2017; TP=2110TPN\r\n" in video
    audio = next(text for text in texts if "m=audio" in text)
    assert "a=rtpmap:97 L24/48000/2\r\n" in audio
    assert "a=fmtp:97 channel-order=SMPTE2110.(ST)\r\na=ptime:1\r\n" in audio
    assert all("a=ts-refclk:localmac=00-00-00-00-00-00\r\n" in text for text in texts)


@two_legs
async def test_a_sender_with_two_legs_describes_both(
    client: httpx2.AsyncClient, sender: str
) -> None:
    """ST 2022-7: two media in a DUP group, with groups of their own (RFC 7104)."""
    text = (await client.get(f"{sender}/transportfile")).text
    assert "a=group:DUP primary secondary\r\n" in text
    assert text.count("m=video") == text.count("a=mid:") == 2
    legs = (await client.get(f"{sender}/active")).json()["transport_params"]
    groups = [leg["destination_ip"] for leg in legs]
    assert len(set(groups)) == 2
    assert re.findall(r"c=IN IP4 (\S+)/64", text) == groups


async def test_a_receiver_takes_its_parameters_from_the_file(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """What the SDP says is staged, and active after activation, the file with it."""
    patch = given(SDP, sender_id=UNKNOWN, master_enable=True)
    response = await client.patch(f"{receiver}/staged", json=patch)
    assert response.status_code == 200
    staged = response.json()
    assert staged["transport_params"] == [FIRST_LEG]
    assert staged["transport_file"] == {"data": SDP, "type": "application/sdp"}
    assert staged["sender_id"] == UNKNOWN
    await client.patch(f"{receiver}/staged", json=IMMEDIATE)
    active = (await client.get(f"{receiver}/active")).json()
    assert active["transport_params"] == [{**FIRST_LEG, "interface_ip": "127.0.0.1"}]
    assert active["transport_file"] == staged["transport_file"]


async def test_parameters_of_the_same_patch_go_before_the_file(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """Where both speak of a parameter, `transport_params` decides."""
    patch = given(SDP, transport_params=[{"multicast_ip": "239.9.9.9", "rtp_enabled": False}])
    response = await client.patch(f"{receiver}/staged", json=patch)
    expected = {**FIRST_LEG, "multicast_ip": "239.9.9.9", "rtp_enabled": False}
    assert response.json()["transport_params"] == [expected]


async def test_the_latest_patch_decides(client: httpx2.AsyncClient, receiver: str) -> None:
    """Parameters set later stay until a file is given again, be it the same."""
    await client.patch(f"{receiver}/staged", json=given(SDP))
    changed = {"transport_params": [{"destination_port": 7000}]}
    response = await client.patch(f"{receiver}/staged", json=changed)
    assert response.json()["transport_params"][0]["destination_port"] == 7000
    assert response.json()["transport_file"]["data"] == SDP
    response = await client.patch(f"{receiver}/staged", json=given(SDP))
    assert response.json()["transport_params"] == [FIRST_LEG]


async def test_removing_the_file_changes_no_parameter(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """Null as data takes away the file alone."""
    await client.patch(f"{receiver}/staged", json=given(SDP))
    response = await client.patch(f"{receiver}/staged", json=given(None))
    assert response.json()["transport_file"] == {"data": None, "type": None}
    assert response.json()["transport_params"] == [FIRST_LEG]


async def test_unicast_names_the_interface(client: httpx2.AsyncClient, receiver: str) -> None:
    """A unicast destination is the Receiver's own address, and there is no group then."""
    unicast = SDP.replace("239.7.7.7/32", "127.0.0.1").replace("239.7.7.7", "127.0.0.1")
    response = await client.patch(f"{receiver}/staged", json=given(unicast))
    assert response.json()["transport_params"] == [
        {**FIRST_LEG, "multicast_ip": None, "interface_ip": "127.0.0.1"}
    ]
    elsewhere = unicast.replace("127.0.0.1", "198.51.100.9")
    assert_error(await client.patch(f"{receiver}/staged", json=given(elsewhere)), 400)


@pytest.mark.parametrize(
    "file",
    [
        {"data": "", "type": "application/sdp"},
        {"data": "not an SDP", "type": "application/sdp"},
        {"data": SDP, "type": "text/plain"},
        {"data": SDP.replace("raw/", "jxsv/"), "type": "application/sdp"},
        {"data": SDP.replace("m=video", "m=audio"), "type": "application/sdp"},
        {"data": SDP.replace("5020", "80"), "type": "application/sdp"},
        {"data": 5, "type": "application/sdp"},
    ],
)
async def test_a_file_that_cannot_be_used_is_400(
    client: httpx2.AsyncClient, receiver: str, file: dict[str, object]
) -> None:
    """What is not an SDP, of another media type, or against the constraints, stages nothing."""
    before = (await client.get(f"{receiver}/staged")).json()
    patch = {"transport_file": file, "master_enable": True}
    assert_error(await client.patch(f"{receiver}/staged", json=patch), 400)
    assert (await client.get(f"{receiver}/staged")).json() == before


async def test_one_leg_takes_the_first_of_two_streams(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """A Receiver without ST 2022-7 joins the first stream of a redundant Sender."""
    response = await client.patch(f"{receiver}/staged", json=given(REDUNDANT))
    assert response.json()["transport_params"] == [FIRST_LEG]


@two_legs
async def test_two_legs_take_two_streams(client: httpx2.AsyncClient, receiver: str) -> None:
    """The stream listed first is Path 1, the other Path 2."""
    response = await client.patch(f"{receiver}/staged", json=given(REDUNDANT))
    assert response.json()["transport_params"] == [FIRST_LEG, SECOND_LEG]


@two_legs
async def test_a_leg_without_a_stream_is_disabled(
    client: httpx2.AsyncClient, receiver: str
) -> None:
    """A file with one stream leaves the second leg off, unless the patch says otherwise."""
    response = await client.patch(f"{receiver}/staged", json=given(SDP))
    first, second = response.json()["transport_params"]
    assert first == FIRST_LEG
    assert second["rtp_enabled"] is False
    patch = given(SDP, transport_params=[{}, {"rtp_enabled": True}])
    response = await client.patch(f"{receiver}/staged", json=patch)
    assert response.json()["transport_params"][1]["rtp_enabled"] is True


@two_legs
async def test_two_legs_want_two_entries(
    client: httpx2.AsyncClient, app: FastAPI, sender: str, receiver: str
) -> None:
    """`transport_params` has as many entries as `constraints`, also where a leg stays as it is."""
    node = app.state.node
    for path in (sender, receiver):
        assert len((await client.get(f"{path}/constraints")).json()) == 2
        one = {"transport_params": [{"destination_port": 6000}]}
        assert_error(await client.patch(f"{path}/staged", json=one), 400)
        both = {"transport_params": [{}, {"destination_port": 6000}]}
        response = await client.patch(f"{path}/staged", json=both)
        ports = [leg["destination_port"] for leg in response.json()["transport_params"]]
        assert ports == ["auto", 6000]
    # The same interface twice is one interface, listed for each leg (IS-04 "Behaviour: Nodes").
    assert [each.name for each in node.resources.node.interfaces] == ["lo"]
    for resource in (*node.resources.senders.values(), *node.resources.receivers.values()):
        legs = 2 if resource.transport == RTP else 1
        assert resource.interface_bindings == ("lo",) * legs


async def test_a_senders_file_connects_a_receiver(
    client: httpx2.AsyncClient, sender: str, receiver: str
) -> None:
    """What one serves the other takes: the Receiver ends on the Sender's group and port."""
    await client.patch(f"{sender}/staged", json={"master_enable": True, **IMMEDIATE})
    text = (await client.get(f"{sender}/transportfile")).text
    response = await client.post(
        f"{BULK}/receivers",
        json=[
            {
                "id": receiver.rsplit("/", 1)[1],
                "params": given(text, master_enable=True, **IMMEDIATE),
            }
        ],
    )
    assert [each["code"] for each in response.json()] == [200]
    (sent,) = (await client.get(f"{sender}/active")).json()["transport_params"]
    (received,) = (await client.get(f"{receiver}/active")).json()["transport_params"]
    assert received["multicast_ip"] == sent["destination_ip"]
    assert received["source_ip"] == sent["source_ip"]
    assert received["destination_port"] == sent["destination_port"]


def progressive(text: str) -> str:
    """The video of the Receiver as it is in most plants."""
    return text.replace(" interlace;", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width=1920; height=1080", "width=3840; height=2160", "frame_width is 3840, not 1920"),
        ("height=1080", "height=1080; depth=12", "component_depth is 12, not 10"),
        ("height=1080", "height=1080; depth=16f", "component_depth is 16f, not 10"),
        ("rate=25", "rate=30000/1001", "grain_rate is 30000/1001, not 25"),
        ("rate=25", "rate=25/0", "grain_rate is 25/0, not 25"),
        ("4:2:2", "4:4:4", "color_sampling is YCbCr-4:4:4, not YCbCr-4:2:2"),
        ("interlace;", "TCS=HLG;", "transfer_characteristic is HLG, not SDR"),
        ("interlace;", "interlace; segmented;", "interlace_mode is interlaced_psf, not"),
    ],
)
async def test_a_stream_outside_the_constraint_sets_is_400(
    client: httpx2.AsyncClient, receiver: str, old: str, new: str, message: str
) -> None:
    """A file of a stream that the Receiver does not say it takes is not activated (BCP-004-01)."""
    assert old in SDP
    before = (await client.get(f"{receiver}/active")).json()
    patch = given(SDP.replace(old, new), master_enable=True, **IMMEDIATE)
    response = await client.patch(f"{receiver}/staged", json=patch)
    assert_error(response, 400)
    assert message in response.json()["error"]
    assert (await client.get(f"{receiver}/active")).json() == before


@pytest.mark.parametrize(
    "text",
    [
        SDP,
        progressive(SDP),
        SDP.replace("rate=25", "rate=25/1"),
        SDP.replace("raw/", "RAW/").replace("sampling", "SAMPLING"),
        SDP[: SDP.index("a=fmtp")],
    ],
    ids=["interlaced", "progressive", "a ratio", "other cases", "nothing said"],
)
async def test_a_stream_of_the_constraint_sets_is_active(
    client: httpx2.AsyncClient, receiver: str, text: str
) -> None:
    """What the file says meets the constraints, and what it does not say breaks none."""
    response = await client.patch(f"{receiver}/staged", json=given(text, **IMMEDIATE))
    assert response.status_code == 200, response.text
    active = (await client.get(f"{receiver}/active")).json()
    assert active["transport_file"]["data"] == text


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("L24/48000/2", None),
        ("l16/48000/2", None),
        ("L24/96000/2", "sample_rate is 96000, not 48000"),
        ("L24/48000", "channel_count is 1, not 2"),
        ("L24/48000/8", "channel_count is 8, not 2"),
        ("L20/48000/2", "it offers audio/L20, and this Receiver accepts audio/L24, audio/L16"),
    ],
)
async def test_audio_is_held_to_its_constraint_sets(
    client: httpx2.AsyncClient, node: ReferenceNode, encoding: str, message: str | None
) -> None:
    """Rate and channels of the rtpmap are compared; media types ignore case (RFC 4855)."""
    receiver = f"{SINGLE}/receivers/{list(node.receivers)[1]}"
    text = (
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=x\nt=0 0\nm=audio 5004 RTP/AVP 97\n"
        f"c=IN IP4 239.7.7.7/32\na=rtpmap:97 {encoding}\na=ptime:1\n"
    )
    response = await client.patch(f"{receiver}/staged", json=given(text))
    assert response.status_code == (200 if message is None else 400)
    assert message is None or message in response.json()["error"]


async def test_of_several_media_the_one_of_the_constraint_sets_is_chosen(
    client: httpx2.AsyncClient, node: ReferenceNode
) -> None:
    """Of two audio media in one file the Receiver of stereo gets the one with two channels."""
    receiver = f"{SINGLE}/receivers/{list(node.receivers)[1]}"
    media = "m=audio {port} RTP/AVP 97\nc=IN IP4 239.7.7.7/32\na=rtpmap:97 L24/48000/{channels}\n"
    text = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=x\nt=0 0\n"
    text += "".join(media.format(port=5000 + each, channels=each) for each in (8, 2, 1))
    response = await client.patch(f"{receiver}/staged", json=given(text))
    assert response.json()["transport_params"][0]["destination_port"] == 5002


async def test_a_setting_lets_any_stream_of_the_media_type_in(
    node_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Without ENFORCE_CAPABILITIES the file is staged, and the log says what differs."""
    settings = node_settings.model_copy(update={"enforce_capabilities": False})
    app = create_app(settings, nmos_auth.Settings(enabled=False), ManualClock())
    receiver = f"{SINGLE}/receivers/{next(iter(app.state.node.receivers))}"
    async with running(app) as client:
        patch = given(SDP.replace("width=1920", "width=3840"))
        response = await client.patch(f"{receiver}/staged", json=patch)
    assert response.status_code == 200
    assert response.json()["transport_params"] == [FIRST_LEG]
    assert "frame_width is 3840, not 1920 (Video flow, 1080p25)" in caplog.text


async def test_what_is_amiss_with_a_file_is_in_the_log(
    client: httpx2.AsyncClient, receiver: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that devices write and RFC 8866 does not is used as it was meant, and named."""
    text = "\ufeff" + SDP.replace("m=video ", "\r\n\r\nm=video  ")
    response = await client.patch(f"{receiver}/staged", json=given(text))
    assert response.json()["transport_params"] == [FIRST_LEG]
    assert response.json()["transport_file"]["data"] == text
    assert "has a byte order mark, blank lines, runs of spaces" in caplog.text
    caplog.clear()
    await client.patch(f"{receiver}/staged", json=given(SDP))
    assert "transport file" not in caplog.text


async def test_the_type_of_a_file_ignores_case(client: httpx2.AsyncClient, receiver: str) -> None:
    """Media types do, and may have parameters (RFC 9110 Section 8.3.1)."""
    file = {"data": SDP, "type": "Application/SDP; charset=utf-8"}
    response = await client.patch(f"{receiver}/staged", json={"transport_file": file})
    assert response.json()["transport_params"] == [FIRST_LEG]


@pytest.mark.parametrize(
    ("off", "legs", "expected"),
    [
        (1, 2, [None, SECOND_LEG]),
        (2, 2, [FIRST_LEG, None]),
        (1, 1, [SECOND_LEG]),
        (2, 1, [FIRST_LEG]),
    ],
)
async def test_a_path_that_is_switched_off_disables_its_leg(
    client: httpx2.AsyncClient, receiver: str, off: int, expected: list[dict[str, object] | None]
) -> None:
    """The port 0 is not a path: its leg is disabled, and a Receiver with one leg uses the other."""
    first, media, second = REDUNDANT.rpartition("m=video 5020")
    text = f"{first}m=video 0{second}" if off == 2 else REDUNDANT.replace("5020", "0", 1)
    response = await client.patch(f"{receiver}/staged", json=given(text))
    assert response.status_code == 200, response.text
    for leg, wanted in zip(response.json()["transport_params"], expected, strict=True):
        assert leg["rtp_enabled"] is (wanted is not None)
        assert wanted is None or leg == wanted
    assert media
