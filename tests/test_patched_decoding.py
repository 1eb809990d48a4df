"""How pictures are decoded, which is changed in aiortc, and that it is still needed."""

import queue
import threading
from typing import Any

import av
import pytest
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCRtpReceiver
from aiortc.codecs import get_decoder
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc_media import codec, encoded

from stream.compose.colour_space import BT601
from stream.ingest.jitter_buffer import Picture
from stream.ingest.payload import is_keyframe
from stream.limits import MAX_ENCODED, MAX_ENCODED_AGE, MAX_WAITING_PICTURES
from stream.server.patches import decoding, jitter, tracks

pytestmark = pytest.mark.usefixtures("patched")


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
