"""A remote track's queue has no bound in aiortc 1.16: while the event loop stands still, or a track
is not read, everything that is decoded collects in it."""

import asyncio
from typing import Any

from aiortc.rtcrtpreceiver import RemoteStreamTrack

from stream.limits import MAX_WAITING_PICTURES, MAX_WAITING_SOUND

original_init = RemoteStreamTrack.__init__


def apply() -> None:
    RemoteStreamTrack.__init__ = init_bounded_track  # type: ignore[method-assign]


def init_bounded_track(self: Any, kind: str, id: str | None = None) -> None:
    original_init(self, kind, id)
    self._queue = Newest(MAX_WAITING_PICTURES if kind == "video" else MAX_WAITING_SOUND)


class Newest(asyncio.Queue[Any]):
    """Holds the newest `size` items, and counts those it `dropped`. None, the end, is kept."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.dropped = 0
        self._size = size

    async def put(self, item: Any) -> None:
        while item is not None and self.qsize() >= self._size:
            self.get_nowait()
            self.dropped += 1
        await super().put(item)
