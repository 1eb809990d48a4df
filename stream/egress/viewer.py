"""One viewer of a broadcast: a bounded queue of encoded pictures, and what the viewer told."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from stream.egress.bitrate import HEADROOM, RAMP, START, Budget, after_loss
from stream.egress.encoder import Encoded
from stream.frames import Frame
from stream.limits import MAX_AGE, MAX_VIEWER_PICTURES
from stream.mailbox import Mailbox
from stream.metrics import FRAMES_DROPPED
from stream.overload import Expected


@dataclass(frozen=True, slots=True)
class Sent:
    """An encoded picture on its way. pts: in units of 1/90000 s. frame: what it shows."""

    encoded: Encoded
    pts: int
    frame: Frame


class Viewer:
    """What a viewer cannot take is dropped up to the next keyframe, which `ask` is called for;
    nobody else notices. All methods run on the event loop's thread.

    estimate: bits per second that its network carries. guesses: the receiver never tells it.
    joined: when, None: now. dropped: pictures that it lost, by being slow or while it waited for a
    keyframe. sending: how long handing the next one to the system will take.
    """

    def __init__(
        self,
        codec: str,
        ask: Callable[[], None],
        guesses: bool = False,
        joined: float | None = None,
    ) -> None:
        self.codec = codec
        self._guesses = guesses
        self._is_told = False
        self._has_reported = False
        self.estimate = START
        self.dropped = 0
        self.sent = 0
        self.sending = Expected()
        self._joined = time.monotonic() if joined is None else joined
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
        """The next picture. When it is too old and newer ones wait behind it, all of them are
        dropped. Raises MailboxClosedError."""
        while True:
            sent = await self._queue.get()
            if not len(self._queue) or time.monotonic() - sent.frame.received <= MAX_AGE:
                return sent
            self._start_afresh(1)
            self._ask()

    def told(self, bitrate: int) -> None:
        """The receiver has told its estimate (REMB)."""
        self._is_told = True
        self.estimate = bitrate

    def lost(self, share: float, bitrate: int, cap: int) -> None:
        """The receiver has told what it lost since the last time, 0 to 1 (RTCP's receiver reports),
        which counts when it tells no estimate. bitrate: what the stream is encoded at; cap: what it
        can rise to."""
        if self._is_told:
            return
        if not self._has_reported:  # begin where the stream is: nobody is to see somebody join
            self._has_reported = True
            self.estimate = max(self.estimate, round(bitrate / HEADROOM))
        self.estimate = after_loss(self.estimate, share, cap)

    def guesses(self, now: float | None = None) -> bool:
        """Whether its estimate is not the receiver's own."""
        now = time.monotonic() if now is None else now
        return self._guesses or (not self._is_told and now - self._joined >= RAMP)

    def is_ramping(self, now: float | None = None) -> bool:
        """Whether its estimate says little yet; a guess begins where the stream is."""
        now = time.monotonic() if now is None else now
        return not self._guesses and now - self._joined < RAMP

    def close(self) -> None:
        self._queue.close()

    def offer(self, sent: Sent, bitrate: int, now: float | None = None) -> None:
        """Queue the next picture, or drop it. bitrate: what the stream is encoded at."""
        size, keyframe = len(sent.encoded.data), sent.encoded.keyframe
        if keyframe:
            self._keyframe_size = size
        is_slow = not self.is_ramping(now) and self.estimate * HEADROOM < bitrate * 0.99
        bits = self._budget.fill(self.estimate, time.monotonic() if now is None else now)
        if is_slow and bits <= 0:
            self._waits = True
        if len(self._queue) >= MAX_VIEWER_PICTURES:
            self._start_afresh()
        if self._waits and (not keyframe or (is_slow and bits <= 0)):
            self._drop(1)
            if not is_slow or bits >= min(self._keyframe_size * 8, self.estimate):
                self._ask()
            return
        self._waits = False
        self.sent += 1
        self._budget.spend(size)
        self._queue.put(sent)

    def _start_afresh(self, dropped: int = 0) -> None:
        """Drop what waits, after others that were, and go on with the next keyframe."""
        self._drop(dropped + self._queue.clear())
        self._waits = True

    def _drop(self, count: int) -> None:
        self.dropped += count
        FRAMES_DROPPED["viewer"].inc(count)
