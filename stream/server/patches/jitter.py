"""aiortc 1.16 keeps a complete picture until the next one begins, since it ignores the marker bit,
and waits for a packet that never comes until 512 others have, 1.5 to 4 seconds. Our own jitter
buffer takes the place of its own for video. Of sound it keeps four packets, 80 ms, longer than
pictures take, and one that is lost leaves fifteen in it for good: ours keeps none.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import MAX_MISORDER, JitterFrame

from stream.ingest.jitter_buffer import Counters, JitterBuffer, Packet, Picture
from stream.ingest.payload import begins_picture, is_keyframe
from stream.metrics import JITTER_BUFFER
from stream.server.patches import round_trip
from stream.server.patches.retransmission import Requests

original_receive = RTCRtpReceiver.receive


def apply() -> None:
    RTCRtpReceiver.receive = receive  # type: ignore[method-assign]


async def receive(self: Any, parameters: Any) -> None:
    if self._track is not None and self._track.kind == "video":
        buffer = self._RTCRtpReceiver__jitter_buffer
        if not isinstance(buffer, VideoJitterBuffer):
            names = self._RTCRtpReceiver__codecs
            self._RTCRtpReceiver__jitter_buffer = VideoJitterBuffer(names)
            self._RTCRtpReceiver__nack_generator = Requests(
                self, lambda: round_trip.seconds(self.transport)
            )
    else:
        self._RTCRtpReceiver__jitter_buffer = AudioJitterBuffer()
    await original_receive(self, parameters)


class VideoJitterBuffer:
    """Looks like aiortc's. codecs: by payload type, filled by the receiver."""

    def __init__(self, codecs: Mapping[int, Any]) -> None:
        self.buffer = JitterBuffer()
        self._counted = Counters()
        self._codecs = codecs

    def add(self, packet: Any) -> tuple[bool, JitterFrame | None]:
        codec = self._codecs[packet.payload_type].name
        begins = begins_picture(codec, packet.payload)
        keyframe = (begins or codec != "VP8") and is_keyframe(codec, packet._data)
        now = time.monotonic()
        pictures, wants_keyframe = self.buffer.add(
            Packet(
                packet.sequence_number,
                packet.timestamp,
                bool(packet.marker),
                packet._data,
                begins,
                keyframe,
            ),
            now,
        )
        self._count()
        return wants_keyframe, Released(pictures[-1], pictures[:-1], now) if pictures else None

    def _count(self) -> None:
        """Tell the metrics what has happened since the last packet; mostly nothing."""
        now = self.buffer.counters
        if now == self._counted:
            return
        for event, counter in JITTER_BUFFER.items():
            counter.inc(getattr(now, event) - getattr(self._counted, event))
        self._counted = replace(now)


class AudioJitterBuffer:
    """Looks like aiortc's. A packet is a frame of sound, and goes on as it comes: what comes out of
    order is too late to be heard, and whoever plays it has a jitter buffer of his own."""

    def __init__(self) -> None:
        self._last: int | None = None

    def add(self, packet: Any) -> tuple[bool, JitterFrame | None]:
        number = packet.sequence_number
        if self._last is not None and (self._last - number) % 2**16 < MAX_MISORDER:
            return False, None
        self._last = number
        return False, JitterFrame(packet._data, packet.timestamp)


class Arrived(JitterFrame):
    """One encoded picture. at: time.monotonic() when the last of it had come."""

    def __init__(self, data: bytes, timestamp: int, at: float) -> None:
        super().__init__(data, timestamp)
        self.at = at


class Released(Arrived):
    """aiortc takes one picture per packet, but one that was waited for may complete several: the
    newest, with those before it."""

    def __init__(self, newest: Picture, earlier: Sequence[Picture], at: float) -> None:
        super().__init__(newest.data, newest.timestamp, at)
        self._newest = newest
        self._earlier = earlier

    def each(self) -> Iterator[Arrived]:
        """All of them, oldest first. aiortc has mapped the newest one's `timestamp`."""
        for picture in self._earlier:
            before = (self._newest.timestamp - picture.timestamp) % 2**32
            yield Arrived(picture.data, self.timestamp - before, self.at)
        yield Arrived(self.data, self.timestamp, self.at)
