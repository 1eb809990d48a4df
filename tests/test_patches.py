"""What is changed in aiortc and aioice, and that it is still needed."""

import queue
import threading
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aioice import ice
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCRtpReceiver
from aiortc.codecs import CODECS, depayload, get_decoder, get_encoder, vpx
from aiortc.jitterbuffer import JitterFrame

from stream.limits import MAX_ENCODED
from stream.server import patches
from stream.server.answer import START_KBPS, with_start_bitrate


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
    assert "127.0.0.1" not in patches._get_host_addresses(True, False), "the patch can go"


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_decoders_refuse_pictures_that_are_too_large(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "MAX_SIDE", 64)
    for width, is_refused in ((64, False), (128, True)):
        [keyframe] = encoded(name, 1, width)
        decoder = patches._limited_decoder(codec(name))
        try:
            pictures = decoder.decode(keyframe)
        except av.FFmpegError:
            pictures = []
        assert bool(pictures) != is_refused
        assert get_decoder(codec(name)).decode(keyframe), "the patch can go when this is refused"


def test_bitrates_reach_720p() -> None:
    encoder = vpx.Vp8Encoder()
    assert encoder.target_bitrate == patches.START_BITRATE
    encoder.target_bitrate = 10**9
    assert encoder.target_bitrate == patches.MAX_BITRATE


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_only_the_first_picture_is_a_keyframe(name: str) -> None:
    frames = encoded(name, 4)
    assert [patches.is_keyframe(name, frame.data) for frame in frames] == [True] + [False] * 3
    assert not patches.is_keyframe(name, b"")
    assert not patches.is_keyframe(name, b"\x01\x00\x00\x01")


def test_a_full_decoder_queue_starts_afresh_at_a_keyframe() -> None:
    keyframe, *others = encoded("VP8", 3)
    wanted = threading.Event()
    waiting = patches.EncodedPictures(wanted)
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


async def test_receivers_of_video_have_the_bounded_queue() -> None:
    transport = RTCDtlsTransport(
        RTCIceTransport(RTCIceGatherer([])), [RTCCertificate.generateCertificate()]
    )
    for kind, wanted in (("video", patches.EncodedPictures), ("audio", queue.Queue)):
        receiver: Any = RTCRtpReceiver(kind, transport)
        assert type(receiver._RTCRtpReceiver__decoder_queue) is wanted
    assert patches._init_receiver is not RTCRtpReceiver.__init__


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
