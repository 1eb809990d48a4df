"""Pictures and sound to a WebRTC peer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from stream.egress.broadcast import Broadcast
from stream.egress.encoder import RATE
from stream.egress.viewer import Sent, Viewer
from stream.limits import MAX_AUDIO_DELAY
from stream.mailbox import Mailbox, MailboxClosedError

SMOOTHING = 0.05
"""Weight of one picture's delay: a second of them moves the sound, one late picture does not."""

LONGEST_SENDING = 0.1
"""Seconds that encrypting a picture and handing it to the system may count: more is a viewer's own
trouble."""

REMEMBERED = 128
"""Sent pictures whose RTP timestamps are remembered: four seconds, longer than any click takes."""

SHORTEST_SOUND = 0.01
"""Sound comes in frames of 20 ms, seldom 10: bounds how many are held back."""


class VideoOutput(MediaStreamTrack):
    """One peer's view of a broadcast. Its sender tells it what it learns (patches.sending).

    `delay`: seconds from a picture's arrival to its leaving the encoder, smoothed.
    last_timestamp: tells the RTP timestamp of the last packet that was sent of this track.
    """

    kind = "video"

    def __init__(self, broadcast: Broadcast) -> None:
        super().__init__()
        self.delay = 0.0
        self.last_timestamp: Callable[[], int] | None = None
        self._broadcast = broadcast
        self._viewer: Viewer | None = None
        self._last: Sent | None = None
        self._left = 0.0
        self._sent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    @property
    def dropped(self) -> int:
        """Pictures that were encoded and this viewer lost."""
        return self._viewer.dropped if self._viewer else 0

    @property
    def sent(self) -> int:
        return self._viewer.sent if self._viewer else 0

    def index_of(self, rtp: int | None) -> int | None:
        """Index of the frame that was sent with an RTP timestamp; None: not known (any more)."""
        for timestamp, index in self._sent:
            if timestamp == rtp:
                return index
        return None

    def negotiated(self, codec: str) -> None:
        if self.readyState == "live":
            self._viewer = self._broadcast.join(codec)

    def want_keyframe(self) -> None:
        if self._viewer is not None:
            self._viewer.want_keyframe()

    def report(self, bitrate: int) -> None:
        if self._viewer is not None:
            self._viewer.told(bitrate)

    def lost(self, share: float) -> None:
        if self._viewer is not None:
            target = self._broadcast.target
            self._viewer.lost(share, target.bitrate, target.cap)

    async def recv(self) -> "av.Packet[Any]":
        if self._last is not None and self._viewer is not None:
            # aiortc asks for the next picture when the last was packed and sent.
            now = time.monotonic()
            self._viewer.sending.took(min(now - self._left, LONGEST_SENDING))
            delay = now - self._last.frame.received
            self.delay += (SMOOTHING if self.delay else 1.0) * (delay - self.delay)
            if self.last_timestamp is not None:
                self._sent.append((self.last_timestamp(), self._last.frame.index))
        if self._viewer is None:
            raise MediaStreamError
        try:
            self._last = await self._viewer.get()
        except MailboxClosedError:
            self.stop()
            raise MediaStreamError from None
        packet = av.Packet(self._last.encoded.data)
        packet.pts, packet.time_base = self._last.pts, Fraction(1, RATE)
        self._left = time.monotonic()
        return packet

    def stop(self) -> None:
        if self._viewer is not None:
            self._broadcast.leave(self._viewer)
        super().stop()


class AudioOutput(MediaStreamTrack):
    """Sends sound as long after its arrival (see Session.hear) as pictures take, so that lips and
    voice agree.

    aiortc stamps its sender reports when it sends, so the receiver keeps in step what leaves
    together. delay: seconds.
    """

    kind = "audio"

    def __init__(self, delay: Callable[[], float]) -> None:
        super().__init__()
        self._delay = delay
        self._held: Mailbox[tuple[float, av.AudioFrame]] = Mailbox(
            round(MAX_AUDIO_DELAY / SHORTEST_SOUND)
        )

    @property
    def dropped(self) -> int:
        return self._held.dropped

    def receive(self, sound: av.AudioFrame, arrived: float) -> None:
        self._held.put((arrived, sound))

    async def recv(self) -> av.AudioFrame:
        try:
            arrived, sound = await self._held.get()
        except MailboxClosedError:
            raise MediaStreamError from None
        due = arrived + min(self._delay(), MAX_AUDIO_DELAY)
        await asyncio.sleep(max(due - time.monotonic(), 0))
        return sound

    def stop(self) -> None:
        self._held.close()
        super().stop()
