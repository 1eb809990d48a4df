"""Whose turn it is: per stream the newest picture and its commands, the oldest stream first.

Plain data, without processes, threads or time. `Picture` stands for whatever names a picture.
"""

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from stream.limits import MAX_PROMPTS_A_TURN
from stream.worker.messages import AddPrompt, Command

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Work(Generic[P]):
    """One stream's turn: the picture to track it into, then the commands to apply, in order.

    Without a picture the commands are such that need none. Of many prompts the rest gets the next
    turns.
    """

    stream: int
    picture: P | None
    commands: tuple[tuple[int, Command], ...]


@dataclass(slots=True)
class _Stream(Generic[P]):
    """`blind`: has objects, but has seen no picture yet since it was restored. `goes_on`: prompts
    were left over from a turn with a picture, and need no other."""

    tracking: bool
    blind: bool
    goes_on: bool = False
    picture: P | None = None
    commands: deque[tuple[int, Command]] = field(default_factory=deque)
    waiting_since: int | None = None
    is_busy: bool = False

    def has_work(self) -> bool:
        if self.picture is not None:
            return self.tracking or bool(self.commands)
        if self.blind or not self.commands:
            return False
        return self.goes_on or not isinstance(self.commands[0][1], AddPrompt)

    def take(self, stream: int) -> Work[P]:
        picture, self.picture = self.picture, None
        commands = []
        may_prompt = picture is not None or self.goes_on
        prompts = MAX_PROMPTS_A_TURN if may_prompt else 0
        while self.commands:
            if isinstance(self.commands[0][1], AddPrompt):
                if not prompts:
                    break
                prompts -= 1
            commands.append(self.commands.popleft())
        self.goes_on = may_prompt and bool(self.commands)
        self.waiting_since, self.is_busy, self.blind = None, True, False
        return Work(stream, picture, tuple(commands))


class Scheduler(Generic[P]):
    """Streams are served in the order in which they got something to do; of a stream's pictures
    only the newest is. A stream that was taken gets no further turn until it is finished."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream[P]] = {}
        self._clock = itertools.count()

    def __contains__(self, stream: int) -> bool:
        return stream in self._streams

    def open(self, stream: int, restored: bool = False) -> None:
        """restored: the stream has objects already, so that every picture is work; commands wait
        for the first one."""
        self._streams[stream] = _Stream(tracking=restored, blind=restored)

    def close(self, stream: int) -> None:
        self._streams.pop(stream, None)

    def offer(self, stream: int, picture: P) -> P | None:
        """The newest picture; returns the one it displaces, which nobody will see."""
        entry = self._streams[stream]
        displaced, entry.picture = entry.picture, picture
        self._queue(entry)
        return displaced

    def command(self, stream: int, token: int, command: Command) -> None:
        """Prompts wait for a picture, and everything behind them too."""
        entry = self._streams[stream]
        entry.commands.append((token, command))
        self._queue(entry)

    def has_work(self) -> bool:
        return any(entry.waiting_since is not None for entry in self._streams.values())

    def take(self, most: int) -> list[Work[P]]:
        """The work of the `most` streams that have waited longest, longest first."""
        waiting = [
            (entry.waiting_since, stream)
            for stream, entry in self._streams.items()
            if entry.waiting_since is not None
        ]
        return [self._streams[stream].take(stream) for _, stream in sorted(waiting)[:most]]

    def finish(self, stream: int, tracking: bool) -> None:
        """The work that was taken is done, and the stream may have its next turn.

        tracking: it has objects now. A stream that was closed meanwhile is ignored.
        """
        if (entry := self._streams.get(stream)) is not None:
            entry.tracking, entry.is_busy = tracking, False
            self._queue(entry)

    def _queue(self, entry: _Stream[P]) -> None:
        if entry.waiting_since is None and not entry.is_busy and entry.has_work():
            entry.waiting_since = next(self._clock)
