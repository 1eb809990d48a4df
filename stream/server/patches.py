"""Changes to aiortc 1.16 and aioice 0.10, each with its reason.

A test of each fails once the library does without it.
"""

import queue
import sys
import threading
from typing import Any

from aioice import ice
from aiortc import RTCRtpReceiver, codecs, rtcrtpreceiver
from aiortc.codecs import h264, vpx
from aiortc.jitterbuffer import JitterFrame

from stream.limits import MAX_ENCODED, MAX_SIDE
from stream.server.ice import PortRangeAsyncio

START_BITRATE = 2_000_000
MAX_BITRATE = 6_000_000
"""Bits per second of the returned video. aiortc stops at 1.5 (VP8) and 3 Mbit/s (H264), too
little for 720p, and starts at a third of that; the receiver's own estimate (REMB) lowers it."""

LOOPBACK = "127.0.0.1"

CONSENT_FAILURES = sys.maxsize
"""Unanswered consent checks (RFC 7675) after which aioice closes. FFmpeg's WHIP muxer answers the
first one only and would be cut off after half a minute. Peers that are gone show in their media
instead, which is encrypted and so says as much: no pictures, or no reports about pictures."""

_get_host_addresses = ice.get_host_addresses
_init_receiver = RTCRtpReceiver.__init__


def apply() -> None:
    """Change the libraries for the whole process; doing it again changes nothing."""
    ice.get_host_addresses = _host_addresses
    ice.asyncio = PortRangeAsyncio()  # type: ignore[attr-defined,assignment]
    ice.CONSENT_FAILURES = CONSENT_FAILURES
    rtcrtpreceiver.get_decoder = _limited_decoder  # type: ignore[attr-defined]
    RTCRtpReceiver.__init__ = _init_bounded_receiver  # type: ignore[method-assign]
    for codec in (vpx, h264):
        codec.DEFAULT_BITRATE = START_BITRATE  # type: ignore[attr-defined]
        codec.MAX_BITRATE = MAX_BITRATE  # type: ignore[attr-defined]


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice leaves 127.0.0.1 out: on a machine without a network no peer could connect."""
    addresses = _get_host_addresses(use_ipv4, use_ipv6)
    return [*addresses, LOOPBACK] if use_ipv4 and LOOPBACK not in addresses else addresses


def _limited_decoder(codec: Any) -> Any:
    """A keyframe of 100 KiB may say that it is 8192x8192: it is refused, not decoded."""
    decoder: Any = codecs.get_decoder(codec)
    if codec.mimeType.lower().startswith("video/"):
        decoder.codec.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}
    return decoder


def _init_bounded_receiver(self: Any, kind: str, transport: Any) -> None:
    """aiortc's queue to the decoder has no bound: a busy machine would fall seconds behind."""
    _init_receiver(self, kind, transport)
    if kind == "video":
        self._RTCRtpReceiver__decoder_queue = EncodedPictures(self._RTCRtpReceiver__decoder_error)


class EncodedPictures(queue.Queue[tuple[Any, JitterFrame] | None]):
    """Pictures that wait for the decoder. One too many, and all are dropped up to the next
    keyframe, which is asked for: aiortc sends a PLI when `keyframe_wanted` is set.

    None ends the decoder; it goes ahead of what waits, since aiortc blocks the event loop until
    the decoder has ended.
    """

    def __init__(self, keyframe_wanted: threading.Event) -> None:
        super().__init__()
        self.dropped = 0
        self._keyframe_wanted = keyframe_wanted
        self._skipping = False

    def put(
        self,
        item: tuple[Any, JitterFrame] | None,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        if item is None or self.qsize() >= MAX_ENCODED:
            self._drop_all()
            self._skipping = item is not None
        if item is not None and self._skipping:
            codec, picture = item
            if not is_keyframe(codec.name, picture.data):
                self.dropped += 1
                self._keyframe_wanted.set()
                return
            self._skipping = False
        super().put(item, block, timeout)

    def _drop_all(self) -> None:
        with self.mutex:
            self.dropped += len(self.queue)
            self.queue.clear()


def is_keyframe(codec: str, data: bytes) -> bool:
    """Whether decoding can begin here. data: a VP8 frame (RFC 6386 9.1), else H.264 Annex B."""
    if codec == "VP8":
        return bool(data) and not data[0] & 1
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        if data[at + 3] & 0x1F == 5:
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False
