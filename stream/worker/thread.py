"""The tracker's thread: it serves all sessions of one network, one picture at a time.

Frames and commands go in, reports come out through each session's callback; nothing else is
shared, so that a process can take this thread's place.
"""

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stream.errors import LimitError, ModelError, SegstreamError, UnknownObject
from stream.frames import Frame, Masks
from stream.limits import CLOSE_TIMEOUT, MAX_COMMANDS
from stream.messages import RemoveObject, Reset, Sighting, Undo
from stream.track.tracker import Tracker
from stream.worker.messages import AddPrompt, Command, Done, Failed, Report, Update

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Stream:
    """One session's side of the thread. `tracker` and `masks` are the thread's own."""

    on_report: Callable[[Report], None]
    tracker: Tracker | None = None
    masks: Masks | None = None
    received: float = 0.0
    tracking: bool = False
    slot: Frame | None = None
    commands: deque[tuple[int, Command]] = field(default_factory=deque)
    turn: int | None = None
    dropped: int = 0

    def has_work(self) -> bool:
        if self.slot is not None:
            return self.tracking or bool(self.commands)
        return bool(self.commands) and not isinstance(self.commands[0][1], AddPrompt)

    def take(self) -> tuple[Frame | None, list[tuple[int, Command]]]:
        """The frame and the commands that can be applied now: prompts need a frame."""
        frame, self.slot = self.slot, None
        commands = []
        while self.commands:
            if frame is None and isinstance(self.commands[0][1], AddPrompt):
                break
            commands.append(self.commands.popleft())
        return frame, commands


class TrackerThread:
    """Tracks the newest frame of each session, the one that has waited longest first.

    make_tracker: called on the thread, once for each session.
    """

    def __init__(self, make_tracker: Callable[[], Tracker]) -> None:
        self._make_tracker = make_tracker
        self._streams: dict[str, _Stream] = {}
        self._changed = threading.Condition()
        self._turns = itertools.count()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="tracker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for the step it is in, CLOSE_TIMEOUT at most."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT)

    def open(self, session: str, on_report: Callable[[Report], None]) -> None:
        """Begin a session. `on_report` is called on the thread and must return at once."""
        with self._changed:
            self._streams[session] = _Stream(on_report)

    def close(self, session: str) -> None:
        """Forget a session with all its objects; nothing is reported for it any more."""
        with self._changed:
            self._streams.pop(session, None)

    def submit(self, session: str, frame: Frame) -> None:
        """Offer the newest frame; it takes the place of one that was not begun yet."""
        with self._changed:
            if (stream := self._streams.get(session)) is None:
                return
            if stream.slot is not None and stream.has_work():
                stream.dropped += 1
            stream.slot = frame
            self._queue(stream)

    def command(self, session: str, token: int, command: Command) -> None:
        """Apply a command after all earlier ones; Done(token) reports how it went.

        A prompt is applied to the next frame that the tracker sees. Raises LimitError.
        """
        with self._changed:
            if (stream := self._streams.get(session)) is None:
                return
            if len(stream.commands) >= MAX_COMMANDS:
                raise LimitError(f"{MAX_COMMANDS} commands wait already; try again in a moment")
            stream.commands.append((token, command))
            self._queue(stream)

    def dropped(self, session: str) -> int:
        """Frames of a tracked stream that the tracker never saw."""
        with self._changed:
            return stream.dropped if (stream := self._streams.get(session)) else 0

    def _queue(self, stream: _Stream) -> None:
        if stream.turn is None and stream.has_work():
            stream.turn = next(self._turns)
            self._changed.notify()

    def _run(self) -> None:
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Wait for a session that has work and do it; False: the thread is to end."""
        if (stream := self._next()) is None:
            return False
        with self._changed:
            frame, commands = stream.take()
        self._report(stream, self._serve(stream, frame, commands))
        with self._changed:
            stream.turn = None
            stream.tracking = stream.masks is not None
            self._queue(stream)
        return True

    def _next(self) -> _Stream | None:
        """The session whose turn it is, awaited; None: the thread is to end."""
        with self._changed:
            while not self._stopping:
                waiting = [stream for stream in self._streams.values() if stream.turn is not None]
                if waiting:
                    return min(waiting, key=lambda stream: stream.turn or 0)
                self._changed.wait()
        return None

    def _serve(
        self, stream: _Stream, frame: Frame | None, commands: Sequence[tuple[int, Command]]
    ) -> list[Report]:
        reports: list[Report] = []
        try:
            if stream.tracker is None:
                stream.tracker = self._make_tracker()
            if frame is not None:
                stream.tracker.step(frame.image(stream.tracker.image_size))
                stream.received = frame.received
            for token, command in commands:
                reports.append(Done(token, _apply(stream.tracker, command)))
            stream.masks = stream.tracker.prompt(()) if stream.tracker.object_ids else None
            can_undo = stream.tracker.can_undo
        except Exception:
            log.exception("the tracker failed; the session's objects are forgotten")
            error = ModelError("tracking failed and all objects were forgotten; click them again")
            stream.tracker = stream.masks = None
            can_undo = False
            reports += [Done(token, error) for token, _ in commands[len(reports) :]]
            reports.append(Failed(error))
        applied = any(isinstance(report, Done) and report.error is None for report in reports)
        sightings = _sightings(stream.masks)
        reports.append(Update(stream.masks, sightings, can_undo, stream.received, applied))
        return reports

    def _report(self, stream: _Stream, reports: Sequence[Report]) -> None:
        with self._changed:
            is_open = stream in self._streams.values()
        for report in reports if is_open else ():
            try:
                stream.on_report(report)
            except Exception:
                log.exception("a report of the tracker could not be delivered")


def _apply(tracker: Tracker, command: Command) -> SegstreamError | None:
    try:
        match command:
            case AddPrompt(prompt, new):
                if not new and prompt.object_id not in tracker.object_ids:
                    known = ", ".join(map(str, tracker.object_ids)) or "none"
                    raise UnknownObject(f"no object {prompt.object_id}; tracked are: {known}")
                tracker.prompt((prompt,))
            case RemoveObject(object_id):
                tracker.remove(object_id)
            case Undo():
                tracker.undo()
            case Reset():
                tracker.reset()
    except SegstreamError as error:
        return error
    return None


def _sightings(masks: Masks | None) -> tuple[Sighting, ...]:
    if masks is None:
        return ()
    areas = np.mean(masks.logits > 0, axis=(1, 2))
    return tuple(
        Sighting(object_id, bool(score > 0 and area > 0), float(area))
        for object_id, score, area in zip(masks.object_ids, masks.scores, areas, strict=True)
    )
