"""What the server keeps of each session for the worker, and for the worker after that one.

A session would go on in another worker from its newest snapshot and the commands that were not
answered yet. No thread of its own: it is called from several and locks.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stream.errors import Busy, LimitError, ModelError, SegstreamError
from stream.frames import Frame, Masks
from stream.limits import (
    MAX_ATTEMPTS,
    MAX_CAMERAS,
    MAX_COMMANDS,
    MAX_SESSIONS,
    RESTART_WINDOW,
)
from stream.metrics import FRAMES_DROPPED, STAGE_SECONDS
from stream.worker import wire
from stream.worker.admission import Admission
from stream.worker.messages import Command, Done, Failed, Report, Update
from stream.worker.shm import BUFFERS, SharedSlots

log = logging.getLogger(__name__)

SLOTS = MAX_SESSIONS + MAX_CAMERAS + 4
"""Some more than sessions: a closed one's slot is free only when the worker has let go of it."""


PICTURES_END = 2.0
"""Seconds without a picture after which nobody waits for a stream's masks: even a bad network
brings one more often."""


@dataclass(slots=True)
class _Pending:
    """A command that was not answered. attempts: workers it was given to. since: when it came."""

    command: Command
    attempts: int = 0
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class _Stream:
    """One session. slot: None while no worker knows it. free: its picture buffers that the server
    may write. is_new: the newest frame was not sent to a worker."""

    number: int
    on_report: Callable[[Report], None]
    slot: int | None = None
    free: list[int] = field(default_factory=list)
    newest: Frame | None = None
    is_new: bool = False
    commands: dict[int, _Pending] = field(default_factory=dict)
    snapshot: bytes | None = None
    tracking: bool = False
    dropped: int = 0

    def wants_pictures(self) -> bool:
        return self.tracking or bool(self.commands)

    def has_picture(self) -> bool:
        """There is a frame to send, and a buffer to send it in."""
        has_room = self.slot is not None and bool(self.free)
        return has_room and self.is_new and self.wants_pictures()

    def take_picture(self) -> tuple[Frame, int] | None:
        if not self.has_picture() or self.newest is None:
            return None
        self.is_new = False
        return self.newest, self.free.pop(0)

    def report(self, *reports: Report) -> None:
        for report in reports:
            try:
                self.on_report(report)
            except Exception:
                log.exception("a report of the tracker could not be delivered")


@dataclass(frozen=True, slots=True, eq=False)
class Worker:
    """The present worker. send: raises OSError when it is gone."""

    memory: SharedSlots
    image_size: int
    send: Callable[[wire.ToWorker], None]


@dataclass(frozen=True, slots=True)
class Mail:
    """What is to be sent to a worker: first the messages, then the pictures, each for a buffer of
    its stream."""

    worker: Worker
    messages: Sequence[wire.ToWorker]
    pictures: Sequence[tuple[_Stream, Frame, int]]


class Streams:
    """All sessions, and what there is to send to the worker on their behalf."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._streams: dict[str, _Stream] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._worker: Worker | None = None
        self._outbox: deque[wire.ToWorker] = deque()
        self._slots: list[int] = []
        self._closing: dict[int, int] = {}
        self._broken: SegstreamError | None = None
        self._is_finished = False

    def __len__(self) -> int:
        return len(self._streams)

    def admit(self) -> None:
        """Raise Busy when there is no room for one more session."""
        with self._changed:
            if self._broken is not None:
                raise Busy(str(self._broken), retry_after=round(RESTART_WINDOW))
            self._admission.check()

    def open(self, session: str, on_report: Callable[[Report], None]) -> None:
        with self._changed:
            self._streams[session] = _Stream(next(self._numbers), on_report)
            self._place()

    def close(self, session: str) -> None:
        with self._changed:
            if (stream := self._streams.pop(session, None)) is None:
                return
            self._admission.forget(stream.number)
            if stream.slot is not None:
                self._closing[stream.number] = stream.slot
                stream.slot = None
                self._say(wire.Close(stream.number))

    def submit(self, session: str, frame: Frame) -> None:
        with self._changed:
            if (stream := self._streams.get(session)) is None:
                return
            if stream.is_new and stream.wants_pictures():
                stream.dropped += 1
                FRAMES_DROPPED["tracker"].inc()
            stream.newest, stream.is_new = frame, True
            if stream.wants_pictures():
                self._changed.notify_all()

    def command(self, session: str, token: int, command: Command) -> None:
        """Raises LimitError; what broke the worker, when there is none."""
        with self._changed:
            if (stream := self._streams.get(session)) is None:
                return
            if self._broken is not None:
                # A new one each time: raised again, an error keeps the frames of every time.
                raise ModelError(str(self._broken))
            if len(stream.commands) >= MAX_COMMANDS:
                raise LimitError(f"{MAX_COMMANDS} commands wait already; try again in a moment")
            stream.commands[token] = _Pending(command)
            if stream.slot is not None:
                self._give(stream, token)

    def dropped(self, session: str) -> int:
        with self._changed:
            return stream.dropped if (stream := self._streams.get(session)) else 0

    @property
    def is_broken(self) -> bool:
        """All was given up, and no worker has come since."""
        return self._broken is not None

    @property
    def is_wanted(self) -> bool:
        """A stream that is tracked, or is to be, got a picture within the last PICTURES_END."""
        now = time.monotonic()
        with self._changed:
            return any(
                s.newest is not None
                and s.wants_pictures()
                and now - s.newest.received < PICTURES_END
                for s in self._streams.values()
            )

    def queue_ages(self) -> dict[str, float]:
        """Seconds that the oldest unanswered command and the oldest unsent picture have waited."""
        with self._changed:
            streams = self._streams.values()
            commands = [p.since for s in streams for p in s.commands.values()]
            pictures = [
                s.newest.received
                for s in streams
                if s.newest is not None and s.is_new and s.wants_pictures()
            ]
        now = time.monotonic()
        return {
            "commands": max(now - min(commands, default=now), 0.0),
            "tracker": max(now - min(pictures, default=now), 0.0),
        }

    def adopt(self, worker: Worker) -> None:
        """A new worker is there: it is given all sessions as they were last known."""
        with self._changed:
            self._worker, self._broken = worker, None
            self._slots = list(range(SLOTS))
            self._place()

    def orphan(self) -> None:
        """The worker is no more. Nothing writes to its memory once this returns.

        Commands that were given to MAX_ATTEMPTS workers, none of which lived to answer, are
        answered with an error; the others wait for the next worker, as do the newest frames.
        """
        with self._changed:
            self._worker = None
            self._outbox.clear()
            self._closing.clear()
            answers = []
            for stream in self._streams.values():
                stream.slot, stream.is_new = None, stream.newest is not None
                for token, pending in list(stream.commands.items()):
                    if pending.attempts >= MAX_ATTEMPTS:
                        del stream.commands[token]
                        answers.append((stream, token))
        error = ModelError("the tracker's process died of this twice; it was not applied")
        for stream, token in answers:
            stream.report(Done(token, error))

    def give_up(self, error: SegstreamError) -> None:
        """Tell all sessions that their objects are lost, and refuse commands until `adopt`."""
        with self._changed:
            self._broken = error
            reports: list[tuple[_Stream, list[Report]]] = []
            for stream in self._streams.values():
                reports.append((stream, [Done(token, error) for token in stream.commands]))
                stream.commands.clear()
                stream.snapshot, stream.tracking = None, False
                self._admission.forget(stream.number)
        nothing = Update(None, (), can_undo=False, received=0.0, commanded=True)
        for stream, answers in reports:
            stream.report(*answers, Failed(error), nothing)

    def say(self, message: wire.ToWorker) -> None:
        with self._changed:
            self._say(message)

    def finish(self) -> None:
        """There will be no more workers."""
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()

    def mail(self) -> Mail | None:
        """All there is to send, awaited; None: nothing will ever be."""
        with self._changed:
            self._changed.wait_for(self._has_mail)
            if self._worker is None:
                return None
            messages, self._outbox = self._outbox, deque()
            pictures = [
                (stream, *picture)
                for stream in self._streams.values()
                if (picture := stream.take_picture()) is not None
            ]
            return Mail(self._worker, messages, pictures)

    def post(self, mail: Mail) -> None:
        """Send it. Scaling a picture takes a millisecond and is done without the lock.

        Raises OSError when the worker is gone.
        """
        for message in mail.messages:
            mail.worker.send(message)
        for stream, frame, buffer in mail.pictures:
            try:
                rgb = frame.image(mail.worker.image_size).rgb
            except Exception:
                log.exception("a picture could not be scaled; the tracker does not see it")
                with self._changed:
                    stream.free.append(buffer)
                continue
            with self._changed:
                if self._worker is not mail.worker or stream.slot is None:
                    continue
                mail.worker.memory.write_picture(stream.slot, buffer, rgb)
            mail.worker.send(
                wire.Picture(
                    stream.number, buffer, frame.index, frame.width, frame.height, frame.received
                )
            )

    def hear(self, message: wire.Result | wire.Released | wire.Closed) -> None:
        """Take in what the worker says."""
        match message:
            case wire.Result():
                self._take_result(message)
            case wire.Released(number, buffer, seen):
                with self._changed:
                    if (stream := self._numbered(number)) is not None:
                        stream.free.append(buffer)
                        stream.dropped += not seen
                        FRAMES_DROPPED["tracker"].inc(not seen)
                        self._changed.notify_all()
            case wire.Closed(number):
                with self._changed:
                    if (slot := self._closing.pop(number, None)) is not None:
                        self._slots.append(slot)
                        self._place()

    def _take_result(self, result: wire.Result) -> None:
        with self._changed:
            stream = self._numbered(result.stream)
            if stream is None or stream.slot is None or self._worker is None:
                return
            masks = self._fetch(self._worker.memory, stream.slot, result)
            stream.tracking = masks is not None
            for done in result.done:
                del stream.commands[done.token]
            if result.snapshot is not None:
                stream.snapshot = result.snapshot or None
            if masks is None:
                self._admission.forget(stream.number)
            elif result.seconds is not None:
                self._admission.measured(stream.number, result.seconds)
                STAGE_SECONDS["track"].observe(result.seconds)
        commanded = any(done.error is None for done in result.done)
        update = Update(masks, result.sightings, result.can_undo, result.received, commanded)
        failed = () if result.failed is None else (Failed(result.failed),)
        stream.report(*result.done, *failed, update)

    def _fetch(self, memory: SharedSlots, slot: int, result: wire.Result) -> Masks | None:
        if (found := result.found) is None:
            return None
        logits = memory.read_masks(slot, found.buffer, len(found.object_ids))
        self._say(wire.Fetched(result.stream, found.buffer))
        scores, ious = np.array(found.scores, np.float32), np.array(found.ious, np.float32)
        return Masks(found.object_ids, logits, scores, ious, found.index)

    def _has_mail(self) -> bool:
        if self._worker is None:
            return self._is_finished
        return bool(self._outbox) or any(s.has_picture() for s in self._streams.values())

    def _place(self) -> None:
        """Give slots to the sessions that have none, and the worker what it needs of them."""
        if self._worker is None:
            return
        for stream in self._streams.values():
            if stream.slot is None and self._slots:
                stream.slot, stream.free = self._slots.pop(), list(range(BUFFERS))
                self._say(wire.Open(stream.number, stream.slot, stream.snapshot))
                for token in stream.commands:
                    self._give(stream, token)

    def _give(self, stream: _Stream, token: int) -> None:
        pending = stream.commands[token]
        pending.attempts += 1
        self._say(wire.Do(stream.number, token, pending.command))

    def _say(self, message: wire.ToWorker) -> None:
        if self._worker is not None:
            self._outbox.append(message)
            self._changed.notify_all()

    def _numbered(self, number: int) -> _Stream | None:
        """None: it was closed meanwhile."""
        return next((s for s in self._streams.values() if s.number == number), None)
