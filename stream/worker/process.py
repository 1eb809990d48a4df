"""The worker: the one process that runs the network, for all sessions of the server.

One thread reads the pipe and sorts what comes into the scheduler; the other takes turns from it.
When the server goes away, the pipe ends, and so does the process.
"""

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from stream.errors import ModelError, SegstreamError, UnknownObject
from stream.frames import Image, Masks
from stream.limits import MAX_FAILURES, SNAPSHOT_INTERVAL
from stream.messages import RemoveObject, Reset, Sighting, Undo
from stream.niceness import step_back
from stream.prompts import Point
from stream.track.tracker import Tracker
from stream.worker import wire
from stream.worker.messages import AddPrompt, Command, Done
from stream.worker.scheduler import Scheduler, Work
from stream.worker.shm import BUFFERS, SharedSlots

log = logging.getLogger(__name__)


class Engine(Protocol):
    """A loaded network, as the worker uses it."""

    @property
    def image_size(self) -> int:
        """Side of the pictures that its trackers take."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """That objects can be asked for by."""
        ...

    @property
    def phrases(self) -> bool:
        """Whether they can be asked for by any phrase as well."""
        ...

    @property
    def max_batch(self) -> int:
        """Sessions that may share a step."""
        ...

    def new_tracker(self) -> Tracker: ...

    def step(self, trackers: Sequence[Tracker], images: Sequence[Image]) -> list[Masks]:
        """Advance each tracker to its picture, all in one batch."""
        ...


Load = Callable[[], Engine]
"""Makes the engine in the worker's process; it must be picklable."""


class DeviceLostError(Exception):
    """Nothing works any more, whichever session it is for: a CUDA error stays until the end."""


NICENESS = 10
"""The picture goes first: the network is busy all the time, the server's threads only now and
then. 19 instead made no picture younger."""


def main(connection: Connection, load: Load, measure: bool) -> None:
    """What the process runs. measure: time a step before saying hello."""
    # Ctrl-C in a terminal reaches every process of its group; the server ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step_back(NICENESS)  # before the network starts its threads, which inherit it
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s worker: %(message)s")
    serve(connection, load, measure)


def serve(connection: Connection, load: Load, measure: bool) -> None:
    """Load the network and serve until told to stop or the pipe ends."""
    try:
        with connection:
            _serve(connection, load, measure)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        log.debug("the server is gone")


def _serve(connection: Connection, load: Load, measure: bool) -> None:
    try:
        engine = load()
        seconds = _step_seconds(engine) if measure else None
    except SegstreamError as error:
        connection.send(wire.Unusable(error))
        return
    except Exception as error:
        log.exception("the model cannot be used")
        text = f"the model cannot be used: {type(error).__name__} {error}"[:300]
        connection.send(wire.Unusable(ModelError(text)))
        return
    connection.send(wire.Hello(engine.image_size, seconds, engine.words, engine.phrases))
    attach = connection.recv()
    if not isinstance(attach, wire.Attach):
        return
    memory = SharedSlots.attach(attach.memory, engine.image_size, attach.slots)
    try:
        connection.send(wire.Attached())
        Worker(connection, engine, memory).run()
    finally:
        memory.close()


@dataclass(slots=True)
class _Stream:
    """free: mask buffers that the server has fetched. saved: time of the newest snapshot."""

    slot: int
    snapshot: bytes | None
    tracker: Tracker | None = None
    masks: Masks | None = None
    received: float = 0.0
    saved: float = 0.0
    free: list[int] = field(default_factory=lambda: list(range(BUFFERS)))


@dataclass(slots=True)
class _Turn:
    """One stream's part of a batch. error: what broke it; its own stream alone pays for that."""

    work: Work[wire.Picture]
    stream: _Stream
    image: Image | None = None
    done: list[Done] = field(default_factory=list)
    snapshot: bytes | None = None
    error: Exception | None = None


class Worker:
    """Serves streams until the server says Stop or goes away."""

    def __init__(self, connection: Connection, engine: Engine, memory: SharedSlots) -> None:
        self._connection = connection
        self._engine = engine
        self._memory = memory
        self._streams: dict[int, _Stream] = {}
        self._scheduler: Scheduler[wire.Picture] = Scheduler()
        self._changed = threading.Condition()
        self._answers: deque[wire.Closed | wire.Pong] = deque()
        self._stopping = False
        self._sending = threading.Lock()
        self._failures = 0

    def run(self) -> None:
        """Take turns. Raises DeviceLostError."""
        reader = threading.Thread(target=self._read, name="worker-pipe", daemon=True)
        reader.start()
        try:
            while self._take_turn():
                pass
        except OSError:
            log.debug("the server is gone")
        reader.join()

    def _take_turn(self) -> bool:
        """Wait for something to do and do it; False: told to stop."""
        with self._changed:
            self._changed.wait_for(self._has_something_to_do)
            if self._stopping:
                return False
            answers, self._answers = self._answers, deque()
            batch = self._scheduler.take(self._engine.max_batch)
            turns = [_Turn(work, self._streams[work.stream]) for work in batch]
        for answer in answers:
            self._send(answer)
        if turns:
            self._serve(turns)
        return True

    def _has_something_to_do(self) -> bool:
        return self._stopping or bool(self._answers) or self._scheduler.has_work()

    def _read(self) -> None:
        try:
            while not self._stopping:
                self._sort(self._connection.recv())
        except (EOFError, OSError):
            pass
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()

    def _sort(self, message: wire.ToWorker) -> None:
        unseen: wire.Picture | None = None
        with self._changed:
            match message:
                case wire.Open(stream, slot, snapshot):
                    self._streams[stream] = _Stream(slot, snapshot)
                    self._scheduler.open(stream, restored=snapshot is not None)
                case wire.Close(stream):
                    # Answered between two turns: until then its slot may be in use.
                    self._scheduler.close(stream)
                    del self._streams[stream]
                    self._answers.append(wire.Closed(stream))
                case wire.Picture(stream):
                    unseen = self._scheduler.offer(stream, message)
                case wire.Do(stream, token, command):
                    self._scheduler.command(stream, token, command)
                case wire.Fetched(stream, buffer):
                    if stream in self._streams:
                        self._streams[stream].free.append(buffer)
                case wire.Ping():
                    self._answers.append(wire.Pong())
                case wire.Stop():
                    self._stopping = True
            self._changed.notify_all()
        if unseen is not None:
            self._send(wire.Released(unseen.stream, unseen.buffer, seen=False))

    def _serve(self, turns: list[_Turn]) -> None:
        began = time.perf_counter()
        for turn in turns:
            self._prepare(turn)
        self._step([turn for turn in turns if turn.image is not None and turn.error is None])
        for turn in turns:
            if turn.error is None:
                self._apply(turn)
        seconds = (time.perf_counter() - began) / len(turns)
        for turn in turns:
            self._report(turn, seconds)
        self._failures = self._failures + 1 if all(turn.error for turn in turns) else 0
        if self._failures >= MAX_FAILURES:
            raise DeviceLostError(
                f"{MAX_FAILURES} turns in a row failed; another worker may do better"
            )

    def _prepare(self, turn: _Turn) -> None:
        stream, picture = turn.stream, turn.work.picture
        if picture is not None:
            rgb = self._memory.read_picture(stream.slot, picture.buffer)
            self._send(wire.Released(picture.stream, picture.buffer, seen=True))
            turn.image = Image(rgb, picture.width, picture.height, picture.index)
            stream.received = picture.received
        if stream.tracker is None:
            try:
                stream.tracker = self._engine.new_tracker()
                if stream.snapshot is not None:
                    stream.tracker.restore(stream.snapshot)
            except Exception as error:
                turn.error = error
            stream.snapshot = None

    def _step(self, turns: list[_Turn]) -> None:
        """All in one batch; if that breaks, one after the other, to see whose fault it is."""
        try:
            self._step_batch(turns)
        except Exception as error:
            if len(turns) == 1:
                turns[0].error = error
                return
            for turn in turns:
                self._step([turn])

    def _step_batch(self, turns: list[_Turn]) -> None:
        trackers = [turn.stream.tracker for turn in turns if turn.stream.tracker is not None]
        images = [turn.image for turn in turns if turn.image is not None]
        if turns:
            self._engine.step(trackers, images)

    def _apply(self, turn: _Turn) -> None:
        tracker = turn.stream.tracker
        assert tracker is not None
        try:
            for token, command in turn.work.commands:
                turn.done.append(Done(token, _apply(tracker, command)))
            turn.stream.masks = tracker.masks() if tracker.object_ids else None
            turn.snapshot = _snapshot(turn)
        except Exception as error:
            turn.error = error

    def _report(self, turn: _Turn, seconds: float) -> None:
        stream, number = turn.stream, turn.work.stream
        failed = self._fail(turn) if turn.error is not None else None
        with self._changed:
            # One of the two buffers is free unless the server reads slowly: then all wait.
            self._changed.wait_for(
                lambda: stream.free or self._stopping or number not in self._streams
            )
            if self._stopping or number not in self._streams:
                return
            buffer = stream.free.pop(0) if stream.masks is not None else 0
        result = wire.Result(
            number,
            tuple(turn.done),
            failed,
            None if stream.masks is None else self._publish(stream, stream.masks, buffer),
            _sightings(stream.masks),
            stream.tracker is not None and stream.tracker.can_undo,
            stream.received,
            None if turn.image is None else seconds,
            turn.snapshot,
        )
        self._send(result)
        with self._changed:
            self._scheduler.finish(number, tracking=stream.masks is not None)

    def _fail(self, turn: _Turn) -> SegstreamError:
        log.error("a session failed; its objects are forgotten", exc_info=turn.error)
        error = ModelError("tracking failed and all objects were forgotten; click them again")
        unanswered = turn.work.commands[len(turn.done) :]
        turn.done += [Done(token, error) for token, _ in unanswered]
        turn.stream.tracker = turn.stream.masks = None
        turn.snapshot = b""
        return error

    def _publish(self, stream: _Stream, masks: Masks, buffer: int) -> wire.Found:
        self._memory.write_masks(stream.slot, buffer, masks.logits)
        return wire.Found(
            buffer,
            masks.object_ids,
            tuple(masks.scores.tolist()),
            tuple(masks.ious.tolist()),
            masks.index,
        )

    def _send(self, message: wire.FromWorker) -> None:
        with self._sending:
            self._connection.send(message)


def _apply(tracker: Tracker, command: Command) -> SegstreamError | None:
    try:
        match command:
            case AddPrompt(prompt, new, index):
                if not new and prompt.object_id not in tracker.object_ids:
                    known = ", ".join(map(str, tracker.object_ids)) or "none"
                    raise UnknownObject(f"no object {prompt.object_id}; tracked are: {known}")
                tracker.prompt((prompt,), index=index)
            case RemoveObject(object_id):
                tracker.remove(object_id)
            case Undo():
                tracker.undo()
            case Reset():
                tracker.reset()
    except SegstreamError as error:
        return error
    return None


def _snapshot(turn: _Turn) -> bytes | None:
    """What the server would restore the stream from; None: there is no need for a new one."""
    stream, now = turn.stream, time.monotonic()
    is_due = stream.masks is not None and now - stream.saved >= SNAPSHOT_INTERVAL
    if not turn.work.commands and not is_due:
        return None
    stream.saved = now
    return b"" if stream.masks is None or stream.tracker is None else stream.tracker.snapshot()


def _sightings(masks: Masks | None) -> tuple[Sighting, ...]:
    if masks is None:
        return ()
    areas = np.mean(masks.logits > 0, axis=(1, 2))
    return tuple(
        Sighting(object_id, bool(score > 0 and area > 0), float(area))
        for object_id, score, area in zip(masks.object_ids, masks.scores, areas, strict=True)
    )


def _step_seconds(engine: Engine) -> float:
    """One step with one object; also gets the network going."""
    tracker, size = engine.new_tracker(), engine.image_size
    image = Image(np.zeros((size, size, 3), np.uint8), size, size, 0)
    tracker.step(image, (Point(1, size / 2, size / 2),))
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        engine.step([tracker], [image])
        seconds.append(time.perf_counter() - began)
    return min(seconds)
