"""Ending gently: nothing new is let in, and what runs gets its time.

SIGTERM begins it; a second one, or SIGINT at any time, ends at once.
"""

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator

from aiohttp import web

from stream.errors import Busy

log = logging.getLogger(__name__)

POLL = 0.1
"""Seconds between two looks at whether all has ended."""


class Drain:
    """seconds: for what runs to end by itself."""

    def __init__(self, seconds: float) -> None:
        self.has_begun = False
        self._has_ended = False
        self._seconds = seconds
        self._running: dict[str, Callable[[], int]] = {}
        self._held: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def wait_for(self, name: str, count: Callable[[], int]) -> None:
        """count: how many of them run now; called on the event loop's thread."""
        self._running[name] = count

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """One of them runs within this."""
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1

    def running(self) -> dict[str, int]:
        """Only of what there is some."""
        counts = {name: count() for name, count in self._running.items()} | self._held
        return {name: count for name, count in counts.items() if count}

    def check(self) -> None:
        """To be called before anything new begins. Raises Busy."""
        if self.has_begun:
            raise Busy(
                "the server ends and takes nothing new; try again in a moment",
                retry_after=max(round(self._seconds), 1),
            )

    def begin(self, end: Callable[[], None]) -> None:
        """Call `end` when nothing runs any more, or the time is over; at once if called again."""
        if self.has_begun:
            self.at_once(end)
            return
        self.has_begun = True
        self._task = asyncio.create_task(self._drain(end))

    def at_once(self, end: Callable[[], None]) -> None:
        """Call `end` without waiting. Only one call ever gets through: a second end would break
        off what the first has begun to clean up."""
        if self._has_ended:
            return
        log.info("told to end at once")
        self.has_begun = self._has_ended = True
        if self._task is not None:
            self._task.cancel()
        end()

    async def _drain(self, end: Callable[[], None]) -> None:
        if running := self.running():
            log.info("draining for %g s at most; %s", self._seconds, _listed(running))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while self.running():  # noqa: ASYNC110, for anybody may add what is counted
                    await asyncio.sleep(POLL)
        if running := self.running():
            log.warning("drained, not in time; %s", _listed(running))
        else:
            log.info("drained: nothing runs any more")
        self._has_ended = True
        end()


DRAIN = web.AppKey("drain", Drain)


@contextlib.contextmanager
def on_signals(terminate: Callable[[], object], interrupt: Callable[[], object]) -> Iterator[None]:
    """Let signals call these within this, in the running loop; after it, they end the process."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows has only Ctrl-C, which ends at once
        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)


def _listed(running: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in running.items())
