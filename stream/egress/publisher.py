"""Sends what a session shows to one target until closed, connecting again whenever it ends.

The state machine is stream.egress.publication; a carrier makes one connection after the other: for
RTSP, RTMP and SRT a process with FFmpeg's muxer (here), for WHIP a peer connection
(stream.server.whip_publisher), for a virtual camera a process that writes (virtual_camera).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from stream.child import Child, ChildDied
from stream.egress.broadcast import Broadcast
from stream.egress.publication import MESSAGES, Failure, Phase, Progress, UploadRate
from stream.egress.target import Target
from stream.egress.viewer import Viewer
from stream.egress.writer_messages import (
    MAX_LINE,
    Closed,
    End,
    Open,
    Picture,
    decode_report,
    encode,
)
from stream.errors import InputError
from stream.limits import PUBLISH_KEYFRAME, PUBLISH_OPEN, PUBLISH_SILENCE, PUBLISH_WINDOW
from stream.mailbox import MailboxClosedError

log = logging.getLogger(__name__)

LOOK = 0.25
"""Seconds between two looks at a connection that says nothing."""

GOODBYE = 1.0
"""Seconds in which a target is told that the stream has ended."""


class Carrier(Protocol):
    """sent, dropped: pictures, over all connections."""

    @property
    def sent(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        """One connection from its beginning to its end; returns why it ended.

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
            "reconnects": progress.reconnects,
        }

    async def _run(self) -> None:
        while True:
            self.progress.connect()
            try:
                failure, detail = await self._carrier.carry(self._taken)
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


class MuxerCarrier:
    """By FFmpeg's muxer in a process of its own (stream.egress.writer), which shares the encoder of
    all other viewers. What it cannot send in time is dropped up to the next key frame."""

    def __init__(self, target: Target, broadcast: Broadcast) -> None:
        self.sent = 0
        self._target = target
        self._broadcast = broadcast
        self._rate = UploadRate(broadcast.cap)
        self._dropped_before = 0
        self._viewer: Viewer | None = None
        self._fed: deque[float] = deque()
        self._room = asyncio.Event()

    @property
    def dropped(self) -> int:
        return self._dropped_before + (self._viewer.dropped if self._viewer else 0)

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        child = await Child.start("stream.egress.writer", max_line=MAX_LINE)
        self._rate = UploadRate(self._broadcast.cap, self._rate.estimate)
        self._fed.clear()
        self._viewer = viewer = self._broadcast.join("H264", guesses=True)
        viewer.estimate = self._rate.estimate
        child.write(encode(Open(self._target.url, self._target.kind)))
        feeding = asyncio.create_task(self._feed(child, viewer))
        try:
            return await self._listen(child, viewer, taken)
        except asyncio.CancelledError:
            feeding.cancel()
            child.write(encode(End()))
            await child.ended(GOODBYE)
            raise
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            self._broadcast.leave(viewer)
            self._dropped_before, self._viewer = self.dropped, None
            await child.kill()

    async def _feed(self, child: Child, viewer: Viewer) -> None:
        while True:
            while len(self._fed) >= PUBLISH_WINDOW:
                self._room.clear()
                await self._room.wait()
            try:
                sent = await viewer.get()
            except MailboxClosedError:
                return
            data = sent.encoded.data
            self._fed.append(time.monotonic())
            child.write(encode(Picture(len(data), sent.pts, sent.encoded.keyframe)) + data)

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
                is_open = True
                delay = now - self._fed.popleft()
                self._room.set()
                self.sent += 1
                viewer.estimate = self._rate.taken(delay, now)
                taken()
            elif self._fed and now - self._fed[0] > (PUBLISH_SILENCE if is_open else PUBLISH_OPEN):
                if is_open:
                    return Failure.SILENT, ""
                return Failure.UNREACHABLE, f"no answer within {PUBLISH_OPEN:g} s"
            if now - asked > PUBLISH_KEYFRAME:
                asked = now
                viewer.want_keyframe()
