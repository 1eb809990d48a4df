"""A bounded queue between two tasks of one event loop, where the newest wins."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class MailboxClosedError(Exception):
    """Nothing more will come."""


class Mailbox(Generic[T]):
    """At most `size` items; putting one more drops the oldest and counts it in `dropped`.

    Size 1 is the latest-frame slot: a slow reader loses frames and never delays others.
    on_drop: is told of each.
    One task reads. Everything is called on the event loop's thread.
    """

    def __init__(self, size: int = 1, on_drop: Callable[[], None] | None = None) -> None:
        self._items: deque[T] = deque(maxlen=size)
        self._changed = asyncio.Event()
        self._closed = False
        self.dropped = 0
        self._on_drop = on_drop

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        if self._closed:
            return
        if len(self._items) == self._items.maxlen:
            self.dropped += 1
            if self._on_drop is not None:
                self._on_drop()
        self._items.append(item)
        self._changed.set()

    @property
    def oldest(self) -> T | None:
        """What waits longest, left where it is."""
        return self._items[0] if self._items else None

    async def get(self) -> T:
        """The oldest item, awaited. Raises MailboxClosedError once it is closed."""
        while not self._items:
            if self._closed:
                raise MailboxClosedError
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()

    def clear(self) -> int:
        """Drop what waits; returns how many items that were. They count in `dropped` too."""
        count = len(self._items)
        self._items.clear()
        self.dropped += count
        return count

    def close(self) -> None:
        """Drop what is left and wake the reader."""
        self._closed = True
        self._items.clear()
        self._changed.set()
