"""Follows one camera: connects, hands over its pictures and its sound, and connects again, until
cancelled.

RTSP and SRT cameras, HTTP streams and files come through the same door. The state machine is
stream.ingest.source, the reading is a process (stream.ingest.reader); this is what joins them.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import av

from stream.child import ChildDied
from stream.ingest.address import Address, Kind, Transport
from stream.ingest.clock import SoundArrival, StreamClock
from stream.ingest.reader_messages import (
    SOUND_RATE,
    SOUND_SAMPLES,
    Closed,
    Open,
    Opened,
    Packet,
    Picture,
    Sound,
)
from stream.ingest.reader_process import Reader
from stream.ingest.source import MESSAGES, Failure, Source

log = logging.getLogger(__name__)


class Follower:
    """name: for the log. receive, hear: are given each picture, and each frame of sound with the
    time when it arrived (see Session.hear); they must return at once.

    loop: what ends, such as a file, is played again. with_sound: it is to be read too. opened: is
    called when a connection has told what comes.
    source: its state. clock: counts the jumps of its time. connect_time: seconds from connecting
    to the first picture, the last time. dropped, damaged: pictures lost on the way here.
    sound: the codec of its sound, empty where there is none, None before that is known.
    sound_dropped: frames of it lost on the way here.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        transport: Transport,
        receive: Callable[[av.VideoFrame], None],
        hear: Callable[[av.AudioFrame, float], None],
        *,
        loop: bool = True,
        with_sound: bool = True,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.address = address
        transports = transport.order if address.kind is Kind.RTSP else (str(address.kind),)
        is_live = address.kind in (Kind.RTSP, Kind.SRT)
        self.source = Source(transports, once=not loop and not is_live)
        self.clock = StreamClock()
        self.connect_time: float | None = None
        self.dropped = 0
        self.damaged = 0
        self.sound: str | None = None if with_sound else ""
        self.sound_dropped = 0
        self._lost_before = (0, 0, 0)
        self._receive = receive
        self._hear = hear
        self._with_sound = with_sound
        self._opened = opened
        self._arrival = SoundArrival()
        self._loop = loop
        self._reader: Reader | None = None

    async def run(self) -> None:
        """Until cancelled, or until what is played once has ended."""
        try:
            while True:
                failure, detail = await self._connection()
                wait = self.source.lost(time.monotonic(), failure, detail)
                self._tell(failure, wait)
                if wait == float("inf"):
                    return
                # A new process, if one is needed, starts while we wait.
                await asyncio.gather(self._prepare(), asyncio.sleep(wait))
        finally:
            await self._discard()

    async def _connection(self) -> tuple[Failure, str]:
        """One connection from its beginning to its end; returns why it ended."""
        self.clock.restart()
        self._arrival.restart()
        self._lost_before = (self.dropped, self.damaged, self.sound_dropped)
        # What crashes a decoder may be the sound, without which there still is the picture.
        with_sound = self._with_sound and self.source.failure is not Failure.CRASHED
        self.source.connect(time.monotonic())
        if not await self._prepare():
            return Failure.CRASHED, "it could not be started"
        assert self._reader is not None
        began = time.monotonic()
        self.source.connect(began)
        url, kind = self.address.url, self.address.kind
        self._reader.say(Open(url, kind, self.source.transport, self._loop, with_sound))
        is_first = True
        while True:
            try:
                async with asyncio.timeout(self.source.deadline - time.monotonic()):
                    report = await self._reader.hear()
            except TimeoutError:
                await self._discard()  # it hangs in FFmpeg, which nothing else interrupts
                return Failure.SILENT, ""
            except ChildDied:
                await self._discard()
                return Failure.CRASHED, ""
            now = time.monotonic()
            match report:
                case Opened(codec, sound):
                    self.source.opened(now, codec)
                    self.sound = sound
                    self._opened()
                case Packet():
                    self.source.packet(now)
                case Picture():
                    if is_first:
                        self.connect_time, is_first = now - began, False
                        log.info("camera %s: live after %.2f s", self.name, self.connect_time)
                    self._take(report, now)
                case Sound():
                    self._take_sound(report, now)
                case Closed(failure, detail):
                    return failure, detail

    def _take(self, report: Picture, now: float) -> None:
        assert self._reader is not None
        dropped, damaged, _ = self._lost_before
        self.dropped, self.damaged = dropped + report.dropped, damaged + report.damaged
        picture = self._reader.take(report, self.clock.tick(report.pts, now))
        self.source.picture(now, (report.width, report.height))
        self._receive(picture)
        self._arrival.picture(report.pts, now)

    def _take_sound(self, report: Sound, now: float) -> None:
        assert self._reader is not None
        self.sound_dropped = self._lost_before[2] + report.dropped
        arrived = self._arrival.sound(report.pts, SOUND_SAMPLES / SOUND_RATE, now)
        if arrived is not None:
            self._hear(self._reader.take_sound(report, arrived), arrived)

    async def _prepare(self) -> bool:
        if self._reader is None:
            try:
                self._reader = await Reader.start()
            except (ChildDied, OSError):
                log.exception("camera %s: its reading process does not start", self.name)
                return False
        return True

    async def _discard(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.kill()

    def _tell(self, failure: Failure, wait: float) -> None:
        if wait == float("inf"):
            log.info("camera %s: played to its end", self.name)
        else:
            why = MESSAGES[failure]
            log.warning("camera %s: %s; again in %.1f s", self.name, why, wait)
