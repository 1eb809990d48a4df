"""Pictures and sound to a WebRTC peer."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.mediastreams import MediaStreamError

from stream.frames import Frame
from stream.limits import MAX_AUDIO_DELAY
from stream.mailbox import Mailbox, MailboxClosedError

SMOOTHING = 0.05
"""Weight of one picture's delay: a second of them moves the sound, one late picture does not."""

SOUND_LAG = 4 * 0.020 - 1 / 30
"""What sound has already lost when it arrives here: aiortc 1.16 keeps four packets of 20 ms in its
jitter buffer, but a picture only until the next one begins. Measured: 48 ms."""

REMEMBERED = 128
"""Sent pictures whose RTP timestamps are remembered: four seconds, longer than any click takes."""

SHORTEST_SOUND = 0.01
"""Sound comes in frames of 20 ms, seldom 10: bounds how many are held back."""


class VideoOutput(MediaStreamTrack):
    """Sends the newest frame of a mailbox.

    `delay`: seconds from a picture's arrival to its leaving the encoder, smoothed.
    `sender`: who sends this track, once there is one.
    """

    kind = "video"

    def __init__(self, frames: Mailbox[Frame]) -> None:
        super().__init__()
        self.delay = 0.0
        self.sender: RTCRtpSender | None = None
        self._frames = frames
        self._last: Frame | None = None
        self._sent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def index_of(self, rtp: int | None) -> int | None:
        """Index of the frame that was sent with an RTP timestamp; None: not known (any more)."""
        return dict(self._sent).get(rtp) if rtp is not None else None

    async def recv(self) -> av.VideoFrame:
        if self._last is not None:
            # aiortc asks for the next picture when the last was encoded and sent.
            delay = time.monotonic() - self._last.received
            self.delay += (SMOOTHING if self.delay else 1.0) * (delay - self.delay)
            if self.sender is not None:
                # aiortc 1.16 adds a random offset that only its last packet tells.
                sent: int = self.sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
                self._sent.append((sent, self._last.index))
        try:
            frame = await self._frames.get()
        except MailboxClosedError:
            self.stop()
            raise MediaStreamError from None
        self._last = frame
        return frame.picture


class AudioOutput(MediaStreamTrack):
    """Sends sound as long after its arrival as pictures take, so that lips and voice agree.

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

    def receive(self, sound: av.AudioFrame) -> None:
        self._held.put((time.monotonic(), sound))

    async def recv(self) -> av.AudioFrame:
        try:
            arrived, sound = await self._held.get()
        except MailboxClosedError:
            raise MediaStreamError from None
        due = arrived + min(self._delay() - SOUND_LAG, MAX_AUDIO_DELAY)
        await asyncio.sleep(max(due - time.monotonic(), 0))
        return sound

    def stop(self) -> None:
        self._held.close()
        super().stop()
