"""A tracker that finds what is bright, for tests of everything around the real one.

BrightEngine makes such trackers in a worker; ThreadWorker runs the worker in the test's own
process, so that the test can reach them.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from stream.errors import InputError, LimitError, UnknownObject
from stream.frames import Image, Masks
from stream.prompts import Prompt, check
from stream.worker.process import Load, serve
from stream.worker.supervisor import Supervisor


class BrightTracker:
    """Every object is the bright part of the picture. Keeps the interface of the real tracker.

    seen: indices of the pictures it was given. gate: step waits for it. fail: step raises it.
    """

    image_size = 64

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.prompts: list[Prompt] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail: Exception | None = None
        self.max_objects = 16
        self._image: Image | None = None
        self._objects: dict[int, int] = {}

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(self._objects)

    @property
    def can_undo(self) -> bool:
        return bool(self.prompts)

    def step(self, image: Image, prompts: Sequence[Prompt] = ()) -> Masks:
        self.entered.set()
        assert self.gate.wait(10)
        if self.fail is not None:
            raise self.fail
        self.seen.append(image.index)
        self._image = image
        return self.prompt(prompts)

    def prompt(self, prompts: Sequence[Prompt], index: int | None = None) -> Masks:
        image = self._image
        assert image is not None
        for prompt in prompts:
            check(prompt, image.width, image.height)
            if prompt.object_id not in self._objects and len(self._objects) >= self.max_objects:
                raise LimitError("too many objects")
            self._objects[prompt.object_id] = self._objects.get(prompt.object_id, 0) + 1
            self.prompts.append(prompt)
        return self.masks()

    def masks(self) -> Masks:
        image = self._image
        assert image is not None
        bright = image.rgb[2::4, 2::4].mean(axis=2) > 100
        logits = np.where(bright, 10, -10).astype(np.float32)
        count = len(self._objects)
        scores = np.full(count, 5 if bright.any() else -5, np.float32)
        return Masks(
            self.object_ids,
            np.repeat(logits[None], count, axis=0),
            scores,
            np.ones(count, np.float32),
            image.index,
        )

    def remove(self, object_id: int) -> None:
        if object_id not in self._objects:
            raise UnknownObject(f"no object {object_id}")
        del self._objects[object_id]
        self.prompts = [prompt for prompt in self.prompts if prompt.object_id != object_id]

    def undo(self) -> None:
        if not self.prompts:
            raise InputError("nothing to undo")
        object_id = self.prompts.pop().object_id
        self._objects[object_id] -= 1
        if not self._objects[object_id]:
            del self._objects[object_id]

    def reset(self) -> None:
        self._objects.clear()
        self.prompts.clear()

    def snapshot(self) -> bytes:
        return json.dumps(list(self._objects.items())).encode()

    def restore(self, data: bytes) -> None:
        try:
            self._objects = dict(json.loads(data))
        except (ValueError, TypeError) as error:
            raise InputError("the snapshot is damaged") from error


class BrightEngine:
    """trackers: all that it made, in order."""

    image_size = BrightTracker.image_size
    words: tuple[str, ...] = ()
    phrases = False
    max_batch = 4

    def __init__(self) -> None:
        self.trackers: list[BrightTracker] = []

    def new_tracker(self) -> Any:
        self.trackers.append(BrightTracker())
        return self.trackers[-1]

    def step(self, trackers: Sequence[Any], images: Sequence[Image]) -> list[Masks]:
        return [tracker.step(image) for tracker, image in zip(trackers, images, strict=True)]


class ThreadWorker:
    """The worker's code on a thread; killing it cuts its pipe. It measures nothing."""

    pid = None

    def __init__(self, connection: Connection, load: Load, measure: bool) -> None:
        self.was_killed = False
        # The caller closes its copy, as a process has its own.
        self._connection = Connection(socket.dup(connection.fileno()))
        self._thread = threading.Thread(target=self._run, args=(load,), name="worker", daemon=True)
        self._thread.start()

    def _run(self, load: Load) -> None:
        with contextlib.suppress(SystemExit):  # as a process would end without a word
            serve(self._connection, load, measure=False)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def kill(self) -> None:
        self.was_killed = True
        try:
            with socket.socket(fileno=socket.dup(self._connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has closed the pipe itself

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def close(self) -> None:
        """Nothing more is held."""


def bright_supervisor(engine: BrightEngine | None = None) -> Supervisor:
    """With a worker on a thread of this process."""
    engine = engine or BrightEngine()
    return Supervisor(lambda: engine, launch=ThreadWorker)
