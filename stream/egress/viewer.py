"""One viewer of a broadcast: a bounded queue of encoded pictures, and what the viewer told."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from stream.egress.bitrate import HEADROOM, START, Budget
from stream.egress.encoder import Encoded
from stream.frames import Frame
from stream.limits import MAX_VIEWER_PICTURES
from stream.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Sent:
    """An encoded picture on its way. pts: in units of 1/90000 s. frame: what it shows."""

    encoded: Encoded
    pts: int
    frame: Frame


class Viewer:
    """What a viewer cannot take is dropped up to the next keyframe, which `ask` is called for;
    nobody else notices. All methods run on the event loop's thread.

    estimate: bits per second that its network carries. guesses: it is not told by the receiver.
    dropped: pictures that it lost, by being slow or while it waited for a keyframe.
    """

    def __init__(self, codec: str, ask: Callable[[], None], guesses: bool = False) -> None:
        self.codec = codec
        self.guesses = guesses
        self.estimate = START
        self.dropped = 0
        self.sent = 0
        self._queue: Mailbox[Sent] = Mailbox(MAX_VIEWER_PICTURES)
        self._ask = ask
        self._budget = Budget()
        self._keyframe_size = 0
        self._waits = True
        ask()

    def want_keyframe(self) -> None:
        """The viewer has lost something (PLI)."""
        self._ask()

    async def get(self) -> Sent:
        """Raises MailboxClosedError."""
        return await self._queue.get()

    def close(self) -> None:
        self._queue.close()

    def offer(self, sent: Sent, bitrate: int, now: float | None = None) -> None:
        """Queue the next picture, or drop it. bitrate: what the stream is encoded at."""
        size, keyframe = len(sent.encoded.data), sent.encoded.keyframe
        if keyframe:
            self._keyframe_size = size
        is_slow = self.estimate * HEADROOM < bitrate * 0.99
        bits = self._budget.fill(self.estimate, time.monotonic() if now is None else now)
        if is_slow and bits <= 0:
            self._waits = True
        if len(self._queue) >= MAX_VIEWER_PICTURES:
            self.dropped += self._queue.clear()
            self._waits = True
        if self._waits and (not keyframe or (is_slow and bits <= 0)):
            self.dropped += 1
            if not is_slow or bits >= min(self._keyframe_size * 8, self.estimate):
                self._ask()
            return
        self._waits = False
        self.sent += 1
        self._budget.spend(size)
        self._queue.put(sent)
