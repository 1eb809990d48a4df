"""A stream's pictures, encoded once for each codec in use, and given to all who watch."""

import asyncio
import logging
import statistics
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field

import av

from stream.egress import bitrate, encoder
from stream.egress.encoder import Encoded, Encoder, Target
from stream.egress.viewer import Sent, Viewer
from stream.frames import Frame
from stream.limits import MAX_AGE
from stream.mailbox import Mailbox, MailboxClosedError
from stream.metrics import FRAMES_DROPPED
from stream.overload import LADDER, Ages, Expected, Level

log = logging.getLogger(__name__)

KEYFRAME_INTERVAL = 1.0
"""Seconds between two keyframes: whoever joins or loses something costs the others no more."""

KEYFRAME_WORK = 2.0
"""How many times as long as others a keyframe, or the first picture of a new encoder, takes: 1.2 to
1.7 times at 1440p on an idle machine, 2.8 at worst on one that had just lost a core."""

SMOOTHING = 0.1

STEP = 3000
"""Of the clock, between two pictures whose own times do not grow: a thirtieth of a second."""


@dataclass(slots=True)
class _Codec:
    encoder: Encoder
    keyframe_at: float = float("-inf")
    is_asked: bool = True
    failures: int = 0


@dataclass(slots=True)
class Drops:
    """Pictures that nobody got. late: would have been older than MAX_AGE. thinned: not even
    composited, since the machine is overloaded. failed: the encoder raised."""

    late: int = 0
    thinned: int = 0
    failed: int = 0


@dataclass(slots=True)
class Broadcast:
    """Takes the newest frame whenever it is free. Without viewers nothing is encoded.

    frames: read by nobody else. pool: threads that encode, None for the loop's own.
    cap: bits per second. encoded: pictures, each in all codecs. encode_ms: of one, smoothed.
    encoding: how long it will take with the next.
    """

    frames: Mailbox[Frame]
    cap: int
    pool: Executor | None = None
    quality: Level = LADDER[0]
    drops: Drops = field(default_factory=Drops)
    encoded: int = 0
    encode_ms: float = 0.0
    encoding: Expected = field(default_factory=Expected)
    ages: Ages = field(default_factory=Ages)
    age: float = 0.0
    """Seconds from a picture's arrival to its being encoded, the newest."""
    _viewers: list[Viewer] = field(default_factory=list)
    _codecs: dict[str, _Codec] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _timeline: "Timeline" = field(default_factory=lambda: Timeline())

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        for viewer in self._viewers:
            viewer.close()
        self._viewers.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self, codec: str, *, guesses: bool = False) -> Viewer:
        """Begin to watch; the first picture will be a keyframe. codec: of encoder.CODECS.

        guesses: see Viewer.
        """
        if codec not in self._codecs:
            self._codecs[codec] = _Codec(encoder.make(codec))
        viewer = Viewer(codec, lambda: self._ask(codec), guesses)
        self._viewers.append(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        viewer.close()
        if viewer in self._viewers:
            self._viewers.remove(viewer)
        if all(other.codec != viewer.codec for other in self._viewers):
            self._codecs.pop(viewer.codec, None)

    @property
    def target(self) -> Target:
        """What is encoded at present."""
        told = [viewer for viewer in self._viewers if not viewer.guesses()]
        settled = [viewer for viewer in told if not viewer.is_ramping()]
        known = [viewer.estimate for viewer in settled or told]
        guessed = [viewer.estimate for viewer in self._viewers if viewer.guesses()]
        at = bitrate.shared(known + bitrate.held_back(guessed, known), self.cap)
        return Target(
            max(int(at * self.quality.share), bitrate.FLOOR),
            self.cap,
            self.quality.fast,
            self.quality.scale,
        )

    def thins_out(self, index: int) -> bool:
        """Whether the picture of this index is to be left out; before any work is done for it."""
        if index % self.quality.every == 0:
            return False
        self.drops.thinned += 1
        FRAMES_DROPPED["thinned"].inc()
        return True

    def _ask(self, codec: str) -> None:
        if codec in self._codecs:
            self._codecs[codec].is_asked = True

    async def _run(self) -> None:
        while True:
            try:
                frame = await self.frames.get()
            except MailboxClosedError:
                for viewer in self._viewers:
                    viewer.close()
                return
            if not self._viewers:
                continue
            if time.monotonic() - frame.received + self.expected(frame.picture) > MAX_AGE:
                self.skip()
            else:
                await self._send(frame)

    def expected(self, picture: av.VideoFrame) -> float:
        """Seconds until a picture that comes now will have left. For sending counts what half of
        those who tell it need: what one of them alone suffers costs the others no pictures."""
        told = [viewer.sending.seconds for viewer in self._viewers if viewer.sending.seconds]
        encoding = self.encoding.seconds * self._work(picture, self.target)
        return encoding + (statistics.median_low(told) if told else 0.0)

    def _work(self, picture: av.VideoFrame, target: Target) -> float:
        """That a picture is to encode, in those that build on the ones before."""
        is_keyframe = any(
            self._is_due(codec) or not codec.encoder.goes_on(picture, target)
            for codec in self._codecs.values()
        )
        return KEYFRAME_WORK if is_keyframe else 1.0

    def _is_due(self, codec: _Codec) -> bool:
        """Whether a keyframe is asked for and may be sent."""
        return codec.is_asked and time.monotonic() - codec.keyframe_at >= KEYFRAME_INTERVAL

    def skip(self) -> None:
        """Count a picture that would be too old when it leaves."""
        self.encoding.skipped()
        for viewer in self._viewers:
            viewer.sending.skipped()
        self.drops.late += 1
        FRAMES_DROPPED["late"].inc()

    async def _send(self, frame: Frame) -> None:
        pts, target, began = self._timeline.place(frame), self.target, time.monotonic()
        work = self._work(frame.picture, target)
        # One after the other: the encoders note the picture's type in the one picture they share.
        for name in list(self._codecs):
            codec = self._codecs[name]
            encoded = await self._encode(name, codec, frame.picture, pts, target)
            if encoded is None:
                continue
            sent = Sent(encoded, pts, frame)
            for viewer in self._viewers:
                if viewer.codec == name:
                    viewer.offer(sent, target.bitrate)
        now = time.monotonic()
        self.encoded += 1
        self.encoding.took((now - began) / work)
        self.encode_ms += SMOOTHING * ((now - began) * 1e3 - self.encode_ms)
        self.age = now - frame.received
        self.ages.add(self.age)

    async def _encode(
        self, name: str, codec: _Codec, picture: av.VideoFrame, pts: int, target: Target
    ) -> Encoded | None:
        now, keyframe = time.monotonic(), self._is_due(codec)
        loop = asyncio.get_running_loop()
        try:
            encoded = await loop.run_in_executor(
                self.pool, codec.encoder.encode, picture, pts, target, keyframe
            )
        except (av.FFmpegError, ValueError) as error:
            self.drops.failed += 1
            FRAMES_DROPPED["encoder"].inc()
            if not codec.failures:
                log.warning("%s cannot encode %s: %s", name, picture, error)
            codec.failures += 1
            codec.encoder, codec.is_asked = encoder.make(name), True
            return None
        codec.failures = 0
        if encoded is not None and encoded.keyframe:
            codec.keyframe_at, codec.is_asked = now, False
        return encoded


class Timeline:
    """Times of pictures in units of 1/90000 s, ever growing, whatever the source's do."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._offset = 0

    def place(self, frame: Frame) -> int:
        time = int(frame.pts * frame.time_base * encoder.RATE) + self._offset
        if self._last is not None and time <= self._last:
            self._offset += self._last + STEP - time
            time = self._last + STEP
        self._last = time
        return time
