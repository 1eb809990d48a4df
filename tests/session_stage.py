"""A session without network, for tests: pictures in, composited pictures out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np
from fake_tracker import BrightEngine, BrightTracker, bright_supervisor

from stream.frames import Frame
from stream.messages import Accepted, Event, Rejected, Request, Stats
from stream.session import Session
from stream.worker.supervisor import Supervisor

TIME_BASE = Fraction(1, 90_000)
GREEN = (0, 177, 64)


def picture(index: int = 0, width: int = 64, height: int = 48) -> av.VideoFrame:
    """A bright rectangle in the middle of a dark picture."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 220
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = 1000 + index * 3000, TIME_BASE
    return frame


class Stage:
    """A session, its tracker, and what it told."""

    def __init__(self, engine: BrightEngine, supervisor: Supervisor, pool: Executor) -> None:
        self.engine = engine
        self.supervisor = supervisor
        self.events: list[Event] = []
        self.session = Session("s", supervisor, pool, self._on_event)
        self.output = self.session.watch()
        self._news = asyncio.Event()
        self._index = 0
        self._number = 0

    @property
    def tracker(self) -> BrightTracker:
        """The one that is at work."""
        return self.engine.trackers[-1]

    async def pass_through(self, **shape: int) -> av.VideoFrame:
        """Send one picture and return what comes out for it."""
        return (await self.send_and_get(**shape)).picture

    async def send_and_get(self, **shape: int) -> Frame:
        sent = self.send(**shape)
        async with asyncio.timeout(10):
            while True:
                frame = await self.output.get()
                if frame.pts == sent.pts:
                    return frame

    def send(self, **shape: int) -> av.VideoFrame:
        sent = picture(self._index, **shape)
        self.session.receive(sent)
        self._index += 1
        return sent

    async def ask(self, request: Request) -> Event:
        """Send a request and pictures until the answer comes."""
        self._number += 1
        number = self._number
        self.session.request(number, request)
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if isinstance(event, Accepted | Rejected) and event.number == number:
                        return event
                self.send()
                await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (result := condition()):
                self._news.clear()
                await self._news.wait()
        return result

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def stats(self) -> Stats:
        self.session.tell_stats()
        stats = self.told(Stats)[-1]
        assert isinstance(stats, Stats)
        return stats

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()


def middle_and_corner(frame: av.VideoFrame) -> tuple[Any, Any]:
    pixels = frame.to_ndarray(format="rgb24").astype(int)
    return pixels[frame.height // 2, frame.width // 2], pixels[2, 2]


def is_near(pixel: Any, rgb: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel - np.array(rgb)).max() < 25)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A session that has started, and is closed after."""
    engine = BrightEngine()
    supervisor = bright_supervisor(engine)
    await asyncio.to_thread(supervisor.start)
    with ThreadPoolExecutor(2) as pool:
        stage = Stage(engine, supervisor, pool)
        stage.session.start()
        yield stage
        await stage.session.close()
    for tracker in engine.trackers:
        tracker.gate.set()
    await asyncio.to_thread(supervisor.stop)
