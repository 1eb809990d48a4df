"""Jobs never at the cost of live sessions: while one is tracked, a job begins a picture now and
then only.

Niceness alone orders nothing on a GPU, and on a CPU leaves a job a share that live sessions miss.
The server says how fast a job may go, and its process heeds that between two pictures.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

LOOK_INTERVAL = 0.25
"""Seconds between two looks of the server at its live sessions."""


class Pace:
    """How fast a job may go; told by one thread and heeded by another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._interval = 0.0
        self._began = -float("inf")

    def set(self, rate: float | None) -> None:
        """rate: pictures a second; None: as fast as it can."""
        with self._changed:
            self._interval = 0.0 if rate is None else 1 / rate
            self._changed.notify_all()

    def wait(self) -> None:
        """Before each picture: until it may begin."""
        with self._changed:
            while (left := self._began + self._interval - time.monotonic()) > 0:
                self._changed.wait(left)
            self._began = time.monotonic()


async def told(rate: Callable[[], float | None]) -> AsyncIterator[dict[str, Any]]:
    """What the server tells a job's process: `rate`, at once and whenever it has changed."""
    said: object = ()
    while True:
        if (now := rate()) != said:
            said = now
            yield {"rate": now}
        await asyncio.sleep(LOOK_INTERVAL)
