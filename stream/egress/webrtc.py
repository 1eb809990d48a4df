"""Pictures and sound to a WebRTC peer."""

import asyncio
import time
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from stream.frames import Frame
from stream.limits import MAX_AUDIO_DELAY
from stream.mailbox import Mailbox, MailboxClosedError

SMOOTHING = 0.05
"""Weight of one picture's delay: a second of them moves the sound, one late picture does not."""

SOUND_LAG = 4 * 0.020 - 1 / 30
"""What sound has already lost when it arrives here: aiortc 1.16 keeps four packets of 20 ms in its
jitter buffer, but a picture only until the next one begins. Measured: 48 ms."""

SHORTEST_SOUND = 0.01
"""Sound comes in frames of 20 ms, seldom 10: bounds how many are held back."""


class VideoOutput(MediaStreamTrack):
    """Sends the newest frame of a mailbox.

    `delay`: seconds from a picture's arrival to its leaving the encoder, smoothed.
    """

    kind = "video"

    def __init__(self, frames: Mailbox[Frame]) -> None:
        super().__init__()
        self.delay = 0.0
        self._frames = frames
        self._received: float | None = None

    async def recv(self) -> av.VideoFrame:
        if self._received is not None:
            # aiortc asks for the next picture when the last was encoded and sent.
            delay = time.monotonic() - self._received
            self.delay += (SMOOTHING if self.delay else 1.0) * (delay - self.delay)
        try:
            frame = await self._frames.get()
        except MailboxClosedError:
            self.stop()
            raise MediaStreamError from None
        self._received = frame.received
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
