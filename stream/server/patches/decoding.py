"""What aiortc 1.16 gives its decoders has no bound, neither in number nor in size; and nobody can
tell when what they give had come, nor that VP8's colours are BT.601."""

import functools
import queue
import threading
import time
from typing import Any

from aiortc import RTCRtpReceiver, codecs, rtcrtpreceiver
from aiortc.jitterbuffer import JitterFrame

from stream.compose.colour_space import BT601
from stream.ingest.payload import is_keyframe
from stream.limits import MAX_ENCODED, MAX_ENCODED_AGE, MAX_SIDE
from stream.metrics import FRAMES_DROPPED
from stream.server.patches.jitter import Arrived, Released

original_init = RTCRtpReceiver.__init__


def apply() -> None:
    rtcrtpreceiver.get_decoder = limited_decoder  # type: ignore[attr-defined]
    RTCRtpReceiver.__init__ = init_bounded_receiver  # type: ignore[method-assign]


def limited_decoder(codec: Any) -> Any:
    """A keyframe of 100 KiB may say that it is 8192x8192: it is refused, not decoded.

    A picture's `opaque` is the time when its data had come, if that is known. Of VP8 it has the
    matrix that RFC 6386 section 9.2 says, which libvpx leaves open.
    """
    decoder: Any = codecs.get_decoder(codec)
    if codec.mimeType.lower().startswith("video/"):
        decoder.codec.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}
        matrix = BT601 if codec.name == "VP8" else None
        decoder.decode = functools.partial(_told, decoder.decode, matrix)
    return decoder


def _told(decode: Any, matrix: int | None, encoded: JitterFrame) -> Any:
    pictures = decode(encoded)
    for picture in pictures:
        if matrix is not None:
            picture.colorspace = matrix
        if isinstance(encoded, Arrived):
            picture.opaque = encoded.at
    return pictures


def init_bounded_receiver(self: Any, kind: str, transport: Any) -> None:
    """aiortc's queue to the decoder has no bound: a busy machine would fall seconds behind."""
    original_init(self, kind, transport)
    if kind == "video":
        self._RTCRtpReceiver__decoder_queue = EncodedPictures(self._RTCRtpReceiver__decoder_error)


def dropped(receiver: RTCRtpReceiver) -> int:
    """Pictures that its decoder had no time for, in all; 0 where it receives sound."""
    waiting = receiver._RTCRtpReceiver__decoder_queue  # type: ignore[attr-defined]
    return waiting.dropped if isinstance(waiting, EncodedPictures) else 0


class EncodedPictures(queue.Queue[tuple[Any, JitterFrame] | None]):
    """Pictures that wait for the decoder. One too many, or one that has waited too long, and all
    are dropped up to the next keyframe, which is asked for: aiortc sends a PLI when
    `keyframe_wanted` is set.

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
        if item is None:
            self._drop_all()
            self._skipping = False
            super().put(None, block, timeout)
            return
        codec, released = item
        for picture in released.each() if isinstance(released, Released) else (released,):
            if self._accepts(codec.name, picture.data):
                super().put((codec, picture), block, timeout)

    def _accepts(self, codec: str, data: bytes) -> bool:
        if self.qsize() >= MAX_ENCODED or self._longest_wait() > MAX_ENCODED_AGE:
            self._drop_all()
            self._skipping = True
        if self._skipping and not is_keyframe(codec, data):
            self._drop(1)
            self._keyframe_wanted.set()
            return False
        self._skipping = False
        return True

    def _longest_wait(self) -> float:
        """Seconds."""
        with self.mutex:
            return time.monotonic() - self.queue[0][0] if self.queue else 0.0

    def _put(self, item: Any) -> None:
        self.queue.append((time.monotonic(), item))

    def _get(self) -> Any:
        return self.queue.popleft()[1]

    def _drop_all(self) -> None:
        with self.mutex:
            self._drop(len(self.queue))
            self.queue.clear()

    def _drop(self, count: int) -> None:
        self.dropped += count
        FRAMES_DROPPED["decoder"].inc(count)
