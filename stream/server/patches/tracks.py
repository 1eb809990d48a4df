"""A remote track's queue has no bound in aiortc 1.16: while the event loop stands still, or a track
is not read, everything that is decoded collects in it."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiortc.rtcrtpreceiver import RemoteStreamTrack

from stream.limits import MAX_WAITING_PICTURES, MAX_WAITING_SOUND
from stream.metrics import FRAMES_DROPPED

original_init = RemoteStreamTrack.__init__


def apply() -> None:
    RemoteStreamTrack.__init__ = init_bounded_track  # type: ignore[method-assign]


def init_bounded_track(self: Any, kind: str, id: str | None = None) -> None:
    original_init(self, kind, id)
    if kind == "video":
        self._queue = Newest(MAX_WAITING_PICTURES, FRAMES_DROPPED["decoded"].inc)
    else:
        self._queue = Newest(MAX_WAITING_SOUND)


class Newest(asyncio.Queue[Any]):
    """Holds the newest `size` items, and counts those it `dropped`, which on_drop is told of. None,
    the end, is kept."""

    def __init__(self, size: int, on_drop: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_drop = on_drop
        self.dropped = 0
        self._size = size

    async def put(self, item: Any) -> None:
        while item is not None and self.qsize() >= self._size:
            self.get_nowait()
            self.dropped += 1
            if self._on_drop is not None:
                self._on_drop()
        await super().put(item)
