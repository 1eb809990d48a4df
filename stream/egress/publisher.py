"""Sends what a session shows to one target until closed, connecting again whenever it ends.

The state machine is stream.egress.publication; a carrier makes one connection after the other: for
RTSP, RTMP and SRT a process with FFmpeg's muxer (here), for WHIP a peer connection
(stream.server.whip_publisher), for a virtual camera a process that writes (virtual_camera).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

import av

from stream.child import Child, ChildDied
from stream.egress import pinned
from stream.egress.bitrate import HEADROOM
from stream.egress.encoder import RATE
from stream.egress.publication import MESSAGES, Failure, Phase, Progress, UploadRate
from stream.egress.sound_clock import SoundClock
from stream.egress.target import Target
from stream.egress.viewer import Viewer
from stream.egress.writer_messages import (
    MAX_LINE,
    Closed,
    End,
    Open,
    Picture,
    Sound,
    SoundFormat,
    Written,
    decode_report,
    encode,
)
from stream.errors import InputError
from stream.limits import (
    PUBLISH_GOODBYE,
    PUBLISH_KEYFRAME,
    PUBLISH_OPEN,
    PUBLISH_SILENCE,
    PUBLISH_SOUND_WINDOW,
    PUBLISH_WINDOW,
    SOUND_SILENCE,
)
from stream.mailbox import MailboxClosedError
from stream.session import Session

log = logging.getLogger(__name__)

EXPECTED = SoundFormat(48_000, 2)
"""Of sound that is yet to come: what cameras are read as, and what WebRTC's Opus is decoded to."""

LOOK = 0.25
"""Seconds between two looks at a connection that says nothing."""


class Refused(Exception):
    """The target cannot be published to. detail: for people, without anything secret."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Carrier(Protocol):
    """sent, dropped: pictures, over all connections. sound_dropped: frames of sound, likewise.
    has_sound: whether sound goes along at present."""

    @property
    def sent(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def has_sound(self) -> bool: ...

    @property
    def sound_dropped(self) -> int: ...

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        """One connection from its beginning to its end; returns why it ended. Raises Refused.

        taken: is called when pictures were taken. Frees everything when cancelled.
        """


class Publisher:
    """name: for the log."""

    def __init__(self, name: str, target: Target, carrier: Carrier) -> None:
        self.target = target
        self.progress = Progress()
        self._name = name
        self._carrier = carrier
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End it and wait until all is free."""
        if self._task is not None:
            self._task.cancel()
            [result] = await asyncio.gather(self._task, return_exceptions=True)
            if isinstance(result, Exception):
                log.error("%s: publishing failed", self._name, exc_info=result)

    def state(self) -> dict[str, object]:
        """What the API answers; without any password."""
        now, progress = time.monotonic(), self.progress
        until, since = progress.until, progress.live_since
        return {
            "url": self.target.shown,
            "state": str(progress.phase),
            "reason": progress.reason,
            "failure": progress.failure and str(progress.failure),
            "retry_in": None if until is None else round(max(until - now, 0), 1),
            "live_for": None if since is None else round(now - since, 1),
            "sent": self._carrier.sent,
            "dropped": self._carrier.dropped,
            "sound": self._carrier.has_sound,
            "sound_dropped": self._carrier.sound_dropped,
            "reconnects": progress.reconnects,
        }

    async def _run(self) -> None:
        while True:
            self.progress.connect()
            try:
                failure, detail = await self._carrier.carry(self._taken)
            except Refused as error:
                failure, detail = error.failure, error.detail
            except ChildDied:
                failure, detail = Failure.CRASHED, ""
            except OSError:
                log.exception("%s: the process that publishes does not start", self._name)
                failure, detail = Failure.CRASHED, "it could not be started"
            wait = self.progress.lost(time.monotonic(), failure, detail)
            shown, why = self.target.shown, MESSAGES[failure]
            log.warning("%s: %s: %s; again in %.1f s", self._name, shown, why, wait)
            await asyncio.sleep(wait)

    def _taken(self) -> None:
        was = self.progress.phase
        self.progress.live(time.monotonic())
        if was is not Phase.LIVE:
            log.info("%s: published to %s", self._name, self.target.shown)


class _Fed(NamedTuple):
    """What is on its way through the process, and since when."""

    at: float
    is_picture: bool


class MuxerCarrier:
    """By FFmpeg's muxer in a process of its own (stream.egress.writer), which shares the encoder of
    all other viewers. What it cannot send in time is dropped: pictures up to the next key frame.

    Sound goes along once the session has some. When it begins later, the target is connected to
    anew; nothing ever waits for it. Who called us by SRT would have to call again, so he is told of
    sound from the start where the session may have some, and hears silence while there is none.

    look_up: is asked before each connection for the IP addresses that may be connected to, and
    raises Refused; None: wherever the target's name leads.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        look_up: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        self.sent = 0
        self.sound_dropped = 0
        self._target = target
        self._session = session
        self._look_up = look_up
        self._connections = 0
        self._route = pinned.Route(target.url)
        self._rate = UploadRate(session.broadcast.cap)
        self._dropped_before = 0
        self._child: Child | None = None
        self._viewer: Viewer | None = None
        self._opened: Open | None = None
        self._fed: deque[_Fed] = deque()
        self._room = asyncio.Event()
        self._clock = SoundClock()
        self._sound: SoundFormat | None = None
        self._heard = float("-inf")
        self._fills_silence = False
        self._silence_end = 0

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self._viewer.dropped if self._viewer else 0)

    @property
    def has_sound(self) -> bool:
        return self._opened is not None and self._opened.sound is not None and not self._is_silent

    @property
    def _is_silent(self) -> bool:
        return self._fills_silence and time.monotonic() - self._heard >= SOUND_SILENCE

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        async with self._find() as self._route:
            return await self._carry(taken)

    @asynccontextmanager
    async def _find(self) -> AsyncIterator[pinned.Route]:
        if self._look_up is None:
            yield pinned.Route(self._target.url)
            return
        found = await self._look_up()
        address = found[self._connections % len(found)]  # when the first fails, another may do
        self._connections += 1
        async with pinned.route(self._target, address) as route:
            yield route

    async def _carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        session = self._session
        session.listen(self._hear)  # while the process starts, it shows whether there is sound
        try:
            self._child = child = await Child.start("stream.egress.writer", max_line=MAX_LINE)
            try:
                return await self._send(child, taken)
            finally:
                await child.kill()
        finally:
            session.unlisten(self._hear)
            self._child = self._opened = None

    async def _send(self, child: Child, taken: Callable[[], None]) -> tuple[Failure, str]:
        session, broadcast = self._session, self._session.broadcast
        estimate = self._rate.estimate
        if not self.sent:  # nothing was learned yet: whoever watches is not to see it begin
            estimate = max(estimate, round(broadcast.target.bitrate / HEADROOM))
        self._rate = UploadRate(broadcast.cap, estimate)
        self._clock = SoundClock()
        self._fills_silence = self._target.waits and (session.has_sound or session.may_have_sound)
        self._fed.clear()
        self._viewer = viewer = broadcast.join("H264", guesses=True)
        viewer.estimate = self._rate.estimate
        feeding = asyncio.create_task(self._feed(child, viewer))
        try:
            return await self._listen(child, viewer, taken)
        except asyncio.CancelledError:
            feeding.cancel()
            child.write(encode(End()))
            await child.ended(PUBLISH_GOODBYE)
            raise
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            broadcast.leave(viewer)
            self._dropped_before, self._viewer = self.dropped, None

    async def _feed(self, child: Child, viewer: Viewer) -> None:
        while True:
            while self._on_the_way(pictures=True) >= PUBLISH_WINDOW:
                self._room.clear()
                await self._room.wait()
            try:
                sent = await viewer.get()
            except MailboxClosedError:
                return
            self._open(child, viewer)
            self._clock.picture(sent.pts, sent.frame.received)
            data = sent.encoded.data
            self._fed.append(_Fed(time.monotonic(), is_picture=True))
            child.write(encode(Picture(len(data), sent.pts, sent.encoded.keyframe)) + data)
            if self._is_silent:
                self._be_silent(child, sent.pts)

    def _be_silent(self, child: Child, pts: int) -> None:
        """Until the picture of this time."""
        if self._opened is None or self._opened.sound != EXPECTED:
            return
        if not 0 <= pts - self._silence_end < RATE or self._is_sound_held_up():
            self._silence_end = pts
        # 8 samples are 15 units of the pictures' clock.
        count = (pts - self._silence_end) // 15 * 8
        if count:
            data = bytes(count * 2 * EXPECTED.channels)
            self._feed_sound(child, self._silence_end, data)
            self._silence_end += count // 8 * 15

    def _open(self, child: Child, viewer: Viewer) -> None:
        """Say what is to be connected to; once more when sound has begun since."""
        sound = self._opened.sound if self._opened else EXPECTED if self._is_silent else None
        if time.monotonic() - self._heard < SOUND_SILENCE:
            sound = self._sound
        route = self._route
        order = Open(route.url, self._target.kind, sound, route.tcurl, route.proxy)
        if order != self._opened:
            self._opened = order
            child.write(encode(order))
            viewer.want_keyframe()

    def _hear(self, sound: av.AudioFrame, arrived: float) -> None:
        self._heard = time.monotonic()
        self._sound = SoundFormat(sound.sample_rate, sound.layout.nb_channels)
        if self._child is None or self._opened is None or self._opened.sound != self._sound:
            return
        assert sound.pts is not None
        assert sound.time_base is not None
        pts = self._clock.sound(float(sound.pts * sound.time_base), arrived)
        if pts is None:
            return
        if self._is_sound_held_up():
            self.sound_dropped += 1
        else:
            self._feed_sound(self._child, pts, sound.to_ndarray().tobytes())

    def _is_sound_held_up(self) -> bool:
        return self._on_the_way(pictures=False) >= PUBLISH_SOUND_WINDOW

    def _feed_sound(self, child: Child, pts: int, data: bytes) -> None:
        self._fed.append(_Fed(time.monotonic(), is_picture=False))
        child.write(encode(Sound(len(data), pts)) + data)

    def _on_the_way(self, *, pictures: bool) -> int:
        return sum(fed.is_picture == pictures for fed in self._fed)

    async def _listen(
        self, child: Child, viewer: Viewer, taken: Callable[[], None]
    ) -> tuple[Failure, str]:
        is_open, asked = False, time.monotonic()
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    report = decode_report(await child.line())
            except InputError as error:
                raise ChildDied from error
            except TimeoutError:
                report = None
            now = time.monotonic()
            if isinstance(report, Closed):
                return report.failure, report.detail
            if report is not None:
                fed = self._fed.popleft()
                self._room.set()
                if fed.is_picture and report == Written(taken=True):
                    is_open = True
                    self.sent += 1
                    viewer.estimate = self._rate.taken(now - fed.at, now)
                    taken()
            elif self._fed and now - self._fed[0].at > (
                PUBLISH_SILENCE if is_open else PUBLISH_OPEN
            ):
                if is_open:
                    return Failure.SILENT, ""
                return Failure.UNREACHABLE, f"no answer within {PUBLISH_OPEN:g} s"
            if now - asked > PUBLISH_KEYFRAME:
                asked = now
                viewer.want_keyframe()
