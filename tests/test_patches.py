"""What is changed in aiortc and aioice, and that it is still needed."""

import asyncio
import queue
import re
import struct
import threading
import tomllib
from collections.abc import Iterable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from aioice import ice
from aiortc import (
    MediaStreamTrack,
    RTCCertificate,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
)
from aiortc.codecs import CODECS, depayload, get_decoder, get_encoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpreceiver import NackGenerator, RemoteStreamTrack
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTP_HISTORY_SIZE,
    HeaderExtensions,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtpPacket,
    is_rtcp,
    pack_remb_fci,
    unpack_header_extensions,
)
from rtc_client import Scene, eventually

from stream.compose.colour_space import BT601
from stream.ingest.jitter_buffer import Picture
from stream.ingest.payload import begins_picture, is_keyframe
from stream.limits import MAX_ENCODED, MAX_ENCODED_AGE, MAX_WAITING_PICTURES
from stream.server import patches
from stream.server.answer import START_KBPS, with_start_bitrate
from stream.server.patches import (
    addresses,
    decoding,
    jitter,
    playout,
    round_trip,
    sending,
    tracks,
)
from stream.server.patches.retransmission import (
    MOST_REQUESTS,
    REMEMBERED,
    SHORTEST,
    Nacks,
    Requests,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _patched() -> None:
    patches.apply()


def codec(name: str) -> Any:
    return next(codec for codec in CODECS["video"] if codec.name == name)


def encoded(name: str, count: int, width: int = 64) -> list[JitterFrame]:
    """A keyframe and the pictures that build on it, as a receiver hands them to its decoder."""
    encoder = get_encoder(codec(name))
    frames = []
    for index in range(count):
        pixels = np.full((96, width), 40 + index, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.time_base = index * 3000, Fraction(1, 90_000)
        payloads, timestamp = encoder.encode(frame)
        data = b"".join(depayload(codec(name), payload) for payload in payloads)
        frames.append(JitterFrame(data, timestamp))
    return frames


def test_loopback_is_offered_which_aioice_does_not() -> None:
    patches.apply()
    assert "127.0.0.1" in ice.get_host_addresses(True, False)
    assert "127.0.0.1" not in addresses.original(True, False), "the patch can go"


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_decoders_refuse_pictures_that_are_too_large(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_SIDE", 64)
    for width, is_refused in ((64, False), (128, True)):
        [keyframe] = encoded(name, 1, width)
        decoder = decoding.limited_decoder(codec(name))
        try:
            pictures = decoder.decode(keyframe)
        except av.FFmpegError:
            pictures = []
        assert bool(pictures) != is_refused
        assert get_decoder(codec(name)).decode(keyframe), "the patch can go when this is refused"


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_only_the_first_picture_is_a_keyframe(name: str) -> None:
    frames = encoded(name, 4)
    assert [is_keyframe(name, frame.data) for frame in frames] == [True] + [False] * 3
    assert not is_keyframe(name, b"")
    assert not is_keyframe(name, b"\x01\x00\x00\x01")


def test_a_full_decoder_queue_starts_afresh_at_a_keyframe() -> None:
    keyframe, *others = encoded("VP8", 3)
    wanted = threading.Event()
    waiting = decoding.EncodedPictures(wanted)
    vp8 = codec("VP8")
    waiting.put((vp8, keyframe))
    for _ in range(MAX_ENCODED - 1):
        waiting.put((vp8, others[0]))
    assert waiting.qsize() == MAX_ENCODED
    assert not wanted.is_set()
    for _ in range(5):
        waiting.put((vp8, others[1]))
    assert waiting.qsize() == 0
    assert wanted.is_set()
    assert waiting.dropped == MAX_ENCODED + 5
    waiting.put((vp8, keyframe))
    waiting.put((vp8, others[0]))
    assert waiting.qsize() == 2
    waiting.put(None)
    assert waiting.get() is None, "the end goes ahead of what waits"


def test_a_decoder_that_is_starved_starts_afresh_at_a_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyframe, *others = encoded("VP8", 3)
    wanted = threading.Event()
    waiting = decoding.EncodedPictures(wanted)
    vp8, now = codec("VP8"), 100.0
    monkeypatch.setattr(decoding.time, "monotonic", lambda: now)
    waiting.put((vp8, keyframe))
    now += MAX_ENCODED_AGE * 0.9
    waiting.put((vp8, others[0]))
    assert (waiting.qsize(), waiting.dropped) == (2, 0)
    assert waiting.get() == (vp8, keyframe)
    now += MAX_ENCODED_AGE * 0.9
    waiting.put((vp8, others[1]))
    assert (waiting.qsize(), waiting.dropped) == (2, 0), "what waits now has not waited long"
    now += MAX_ENCODED_AGE * 0.2
    waiting.put((vp8, others[1]))
    assert (waiting.qsize(), waiting.dropped) == (0, 3)
    assert wanted.is_set()


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_the_beginning_of_a_keyframe_is_told_from_its_first_packet(name: str) -> None:
    encoder = get_encoder(codec(name))
    pixels = np.random.default_rng(0).integers(0, 255, (240 * 3 // 2, 320), np.uint8)
    for index in range(2):
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.time_base = index * 3000, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame)
        assert index or len(payloads) > 3
        begins = [begins_picture(name, payload) for payload in payloads]
        # Only an H264 keyframe tells where it begins, by its parameter sets.
        assert begins == [name == "VP8" or not index] + [False] * (len(payloads) - 1)
    assert not begins_picture(name, b"")


def rtp(sequence: int, timestamp: int, marker: bool) -> RtpPacket:
    packet = RtpPacket(97, marker, sequence, timestamp)
    packet.payload = b"\x10\x00"
    packet._data = b"\x00"  # type: ignore[attr-defined]
    return packet


def test_aiortc_holds_a_complete_picture_back() -> None:
    theirs = JitterBuffer(capacity=512, is_video=True)
    ours = jitter.VideoJitterBuffer({97: codec("VP8")})
    packet = rtp(0, 3000, marker=True)
    assert ours.add(packet)[1] is not None
    assert theirs.add(packet)[1] is None, "the patch can go as far as the marker is concerned"


def test_aiortc_waits_for_a_lost_packet_for_seconds() -> None:
    theirs = JitterBuffer(capacity=512, is_video=True)
    shown = [theirs.add(rtp(number, number * 3000, True))[1] for number in range(120) if number]
    assert any(shown)
    shown = [theirs.add(rtp(number, number * 3000, True))[1] for number in range(122, 240)]
    assert not any(shown), "the patch can go as far as the deadline is concerned"


def test_aiortc_holds_sound_back_and_more_after_a_loss() -> None:
    theirs, ours = JitterBuffer(capacity=16, prefetch=4), jitter.AudioJitterBuffer()
    numbers = [number for number in range(65_500, 65_700) if number != 65_600]  # they wrap
    behind: dict[str, list[int]] = {"theirs": [], "ours": []}
    for number in numbers:
        packet = rtp(number % 2**16, number * 960, marker=False)
        for name, buffer in (("theirs", theirs), ("ours", ours)):
            _, frame = buffer.add(packet)  # type: ignore[attr-defined]
            if frame is not None:
                behind[name].append(number - frame.timestamp // 960)
    assert behind["ours"] == [0] * len(numbers)
    assert behind["theirs"][0] == 4, "the patch can go as far as the delay is concerned"
    assert behind["theirs"][-1] > 10, "the patch can go as far as losses are concerned"


def test_sound_that_comes_twice_or_too_late_is_left_out() -> None:
    buffer = jitter.AudioJitterBuffer()
    numbers = (1, 3, 2, 3, 4, 40_000, 39_999, 40_001)
    taken = [n for n in numbers if buffer.add(rtp(n, n * 960, marker=False))[1] is not None]
    assert taken == [1, 3, 4, 40_000, 40_001], "a sender that begins anew is heard again"


def test_aiortc_asks_once_for_a_missing_packet() -> None:
    now = 0.0
    ours, theirs = Nacks(), NackGenerator()
    asked = []
    for number in (0, 2, 3, 4, 5, 6, 1, 7):
        now += 0.02
        ours.came(number, now, round_trip=0.03)
        asked.append(list(ours.ask(now, round_trip=0.03)))
        theirs_asks = theirs.add(rtp(number, 3000, False))
        assert theirs_asks == (number == 2), "the patch can go when it asks again"
    assert asked == [[], [1], [], [1], [1], [1], [], []]


def feed(
    nacks: Nacks, numbers: Iterable[int], begin: float, apart: float, away: float
) -> list[int]:
    """Packets that come `apart` seconds from each other; what is asked for."""
    asked: list[int] = []
    for at, number in enumerate(numbers):
        nacks.came(number % 2**16, begin + at * apart, away)
        asked += nacks.ask(begin + at * apart, away)
    return asked


@pytest.mark.parametrize("away", [0.002, 0.02, 0.1])
def test_a_packet_is_asked_for_again_after_a_round_trip(away: float) -> None:
    nacks = Nacks()
    assert feed(nacks, [65_534, 1], 0.0, 0.001, away) == [65_535, 0]
    assert nacks.next == pytest.approx(0.001 + max(away, SHORTEST))
    assert not nacks.ask(0.001 + max(away, SHORTEST) * 0.99, away)
    assert nacks.ask(0.0011 + max(away, SHORTEST), away) == [65_535, 0]
    times = sum(bool(nacks.ask(0.1 + at / 1000, away)) for at in range(1000))
    assert 1 <= times <= MOST_REQUESTS - 2
    assert nacks.next is None, "nothing waits for it any more"


def test_what_is_only_out_of_order_is_asked_for_once_and_then_no_more() -> None:
    nacks = Nacks()
    swapped = [number ^ 1 for number in range(400)]  # 1, 0, 3, 2, …
    assert feed(nacks, swapped[:2], 0.0, 0.004, 0.04) == []
    assert feed(nacks, swapped[2:4], 0.1, 0.004, 0.04) == [2], "nobody could know"
    assert feed(nacks, swapped[4:], 0.2, 0.004, 0.04) == []
    later = 0.2 + 400 * 0.004
    # A packet that is really lost is asked for a moment later, and at once when all is in order.
    assert feed(nacks, range(401, 410), later, 0.001, 0.04) == [400]
    nacks.came(400, later + 0.06, 0.04)
    assert feed(nacks, [411], later + REMEMBERED + 1, 0.001, 0.04) == [410]


def test_no_more_is_asked_for_than_the_sender_remembers() -> None:
    nacks = Nacks()
    assert len(feed(nacks, [0, 5000], 0.0, 0.01, 0.04)) == RTP_HISTORY_SIZE
    assert len(feed(nacks, [5000 + RTP_HISTORY_SIZE], 1.0, 0.01, 0.04)) == RTP_HISTORY_SIZE - 1


async def test_packets_are_asked_for_again_while_none_come() -> None:
    sent: list[list[int]] = []

    class Receiver:
        async def _send_rtcp_nack(self, stream: int, lost: list[int]) -> None:
            assert stream == 0
            sent.append(lost)

    requests = Requests(Receiver(), lambda: 0.01)
    assert not requests.add(rtp(0, 3000, False))
    assert requests.add(rtp(2, 3000, False))
    assert requests.missing == [1], "which aiortc asks for itself"
    await eventually(lambda: sent[:2] == [[1], [1]])
    assert not requests.add(rtp(1, 3000, False))
    await asyncio.sleep(0.05)
    count = len(sent)
    await asyncio.sleep(0.05)
    assert len(sent) == count


async def test_how_far_away_a_peer_is_which_aioice_does_not_say() -> None:
    ours, theirs = ice.Connection(ice_controlling=False), ice.Connection(ice_controlling=True)
    try:
        for connection, other in ((ours, theirs), (theirs, ours)):
            await connection.gather_candidates()
            for candidate in connection.local_candidates:
                await other.add_remote_candidate(candidate)
            await other.add_remote_candidate(None)
            other.remote_username = connection.local_username
            other.remote_password = connection.local_password
        transport = SimpleNamespace(transport=SimpleNamespace(_connection=ours))
        assert round_trip.seconds(transport) is None
        async with asyncio.timeout(10):
            await asyncio.gather(ours.connect(), theirs.connect())
        known = round_trip.seconds(transport)
        assert known is not None
        assert 0 < known < 0.5
        assert not hasattr(ours, "round_trip_time"), "the patch can go when aioice says it"
    finally:
        await ours.close()
        await theirs.close()


def test_pictures_that_one_packet_completes_keep_their_distance_in_time() -> None:
    waiting = decoding.EncodedPictures(threading.Event())
    pictures = [Picture((2**32 - 6000 + index * 3000) % 2**32, b"\x01") for index in range(4)]
    released = jitter.Released(pictures[-1], pictures[:-1], at=5.0)
    released.timestamp = 90_000  # as aiortc maps it
    waiting.put((codec("VP8"), released))
    taken = [waiting.get() for _ in range(waiting.qsize())]
    assert [each[1].timestamp for each in taken if each] == [81_000, 84_000, 87_000, 90_000]
    assert [each[1].at for each in taken if each] == [5.0] * 4


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_a_picture_tells_when_its_data_had_come(name: str) -> None:
    decoder = decoding.limited_decoder(codec(name))
    for index, frame in enumerate(encoded(name, 3)):
        [picture] = decoder.decode(jitter.Arrived(frame.data, frame.timestamp, index + 0.5))
        assert picture.opaque == index + 0.5
    [without] = get_decoder(codec(name)).decode(encoded(name, 1)[0])
    assert without.opaque is None, "the patch can go when aiortc says it"


def test_vp8_is_bt601_which_its_decoder_does_not_say() -> None:
    [picture] = decoding.limited_decoder(codec("VP8")).decode(encoded("VP8", 1)[0])
    assert picture.colorspace == BT601
    [unnamed] = get_decoder(codec("VP8")).decode(encoded("VP8", 1)[0])
    assert unnamed.colorspace == 2, "the patch can go when aiortc says it"


async def test_remote_tracks_keep_the_newest_pictures() -> None:
    theirs: Any = RemoteStreamTrack.__new__(RemoteStreamTrack)
    tracks.original_init(theirs, "video")
    assert theirs._queue.maxsize == 0, "the patch can go when this has a bound"
    track: Any = RemoteStreamTrack("video")
    for number in range(10):
        await track._queue.put(number)
    await track._queue.put(None)
    kept = [await track.recv() for _ in range(MAX_WAITING_PICTURES)]
    assert kept == [6, 7, 8, 9]
    assert track._queue.dropped == 6
    with pytest.raises(MediaStreamError):
        await track.recv()


@pytest.mark.parametrize("library", ["aiortc", "aioice"])
def test_the_changes_are_for_the_versions_that_may_be_installed(library: str) -> None:
    """What the texts name, pyproject.toml allows, and the tests run with."""
    sources = [path.read_text("utf-8") for path in (ROOT / "stream").rglob("*.py")]
    named = re.findall(rf"{library} (\d+)\.(\d+)", "".join(sources))
    [(major, minor)] = set(named)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"{library}>={major}.{minor},<{major}.{int(minor) + 1}" in requirements
    assert version(library).startswith(f"{major}.{minor}.")


async def test_receivers_of_video_have_the_bounded_queue() -> None:
    transport = RTCDtlsTransport(
        RTCIceTransport(RTCIceGatherer([])), [RTCCertificate.generateCertificate()]
    )
    for kind, wanted in (("video", decoding.EncodedPictures), ("audio", queue.Queue)):
        receiver: Any = RTCRtpReceiver(kind, transport)
        assert type(receiver._RTCRtpReceiver__decoder_queue) is wanted
    assert decoding.original_init is not RTCRtpReceiver.__init__
    theirs: Any = RTCRtpReceiver.__new__(RTCRtpReceiver)
    decoding.original_init(theirs, "video", transport)
    unbounded = theirs._RTCRtpReceiver__decoder_queue.maxsize == 0
    assert unbounded, "the patch can go when this has a bound"


def test_start_bitrate_is_told_for_every_video_codec() -> None:
    sdp = (
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97 98 99\r\na=rtpmap:97 VP8/90000\r\n"
        "a=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\na=rtpmap:99 H264/90000\r\n"
        "a=fmtp:99 packetization-mode=1\r\n"
    )
    lines = with_start_bitrate(sdp).split("\r\n")
    assert f"a=fmtp:97 x-google-start-bitrate={START_KBPS}" in lines
    assert f"a=fmtp:99 packetization-mode=1;x-google-start-bitrate={START_KBPS}" in lines
    assert "a=fmtp:98 apt=97" in lines
    assert len(lines) == len(sdp.split("\r\n")) + 1


async def test_a_sender_tells_its_track_what_it_learns() -> None:
    told: list[object] = []

    class Track(MediaStreamTrack):
        kind = "video"

        def negotiated(self, codec: str) -> None:
            told.append(codec)

        def want_keyframe(self) -> None:
            told.append("keyframe")

        def report(self, bitrate: int) -> None:
            told.append(bitrate)

        def lost(self, share: float) -> None:
            told.append(share)

        async def recv(self) -> Any:
            await asyncio.sleep(0.01)
            packet: Any = av.Packet(b"\x00\x00\x00\x01\x65\x88")
            packet.pts, packet.time_base = 3000 * len(told), Fraction(1, 90_000)
            return packet

    for feeds in (True, False):
        told.clear()
        sending_peer, receiving_peer = RTCPeerConnection(), RTCPeerConnection()
        track = Track()
        sender: Any = sending_peer.addTransceiver(track, "sendonly").sender
        if feeds:
            sending.feed(sender, track)
        await sending_peer.setLocalDescription(await sending_peer.createOffer())
        await receiving_peer.setRemoteDescription(sending_peer.localDescription)
        await receiving_peer.setLocalDescription(await receiving_peer.createAnswer())
        await sending_peer.setRemoteDescription(receiving_peer.localDescription)
        await eventually(lambda sender=sender: sending.last_timestamp(sender))
        pli = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=sender._ssrc)
        remb = RtcpPsfbPacket(
            fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(4_000_000, [sender._ssrc])
        )
        reports = [
            RtcpReceiverInfo(ssrc, lost, 0, 0, 0, 0, 0)
            for ssrc, lost in ((sender._ssrc, 64), (sender._ssrc ^ 1, 128))
        ]
        for packet in (pli, remb, RtcpRrPacket(ssrc=1, reports=reports)):
            await sender._handle_rtcp_packet(packet)
        await sending_peer.close()
        await receiving_peer.close()
        # The patch can go when a track is told without it.
        assert [each for each in told if each != "keyframe"] == (
            ["VP8", pytest.approx(4_000_000, rel=0.01), 0.25] if feeds else []
        )
        assert ("keyframe" in told) == feeds


@pytest.mark.parametrize("knows", [True, False])
async def test_every_packet_says_that_its_picture_is_to_be_shown_at_once(knows: bool) -> None:
    """To a receiver that offers to heed it, as Chromium does."""
    assert not hasattr(HeaderExtensions(), "playout_delay"), "the patch can go when aiortc has it"
    viewer, server = RTCPeerConnection(), RTCPeerConnection()
    viewer.addTransceiver("video", "recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    offer = viewer.localDescription
    [line] = [line for line in offer.sdp.splitlines(keepends=True) if playout.URI in line]
    if not knows:
        offer.sdp = offer.sdp.replace(line, "")
    await server.setRemoteDescription(offer)
    sender = server.addTrack(Scene())
    playout.show_at_once(sender)
    packets: list[bytes] = []
    send = sender.transport._send_rtp

    async def record(packet: bytes) -> None:
        if not is_rtcp(packet):
            packets.append(packet)
        await send(packet)

    sender.transport._send_rtp = record  # type: ignore[method-assign]
    await server.setLocalDescription(await server.createAnswer())
    assert (playout.URI in server.localDescription.sdp) == knows
    await viewer.setRemoteDescription(server.localDescription)
    await eventually(lambda: len(packets) > 3)
    await server.close()
    await viewer.close()
    for packet in packets:
        profile, words = struct.unpack_from("!HH", packet, 12)
        extensions = unpack_header_extensions(profile, packet[16 : 16 + 4 * words])
        assert (playout.AT_ONCE in [value for _, value in extensions]) == knows
