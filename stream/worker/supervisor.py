"""The tracker as the server knows it: sessions, and one worker process that can be replaced.

Frames and commands go in, reports come out through each session's callback. Three threads: one
starts workers and watches over them, one sends to the worker, one hears it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from stream.errors import ModelError, SegstreamError
from stream.frames import Frame
from stream.limits import (
    CLOSE_TIMEOUT,
    MAX_RESTARTS,
    RESTART_WINDOW,
    SLOW_STEPS,
    WORKER_SILENCE,
    WORKER_START,
)
from stream.niceness import Turns
from stream.worker import wire
from stream.worker.admission import Admission
from stream.worker.health import State, WorkerHealth
from stream.worker.launch import Launch, spawn
from stream.worker.link import Link, WorkerLostError
from stream.worker.messages import Command, Report
from stream.worker.process import Load
from stream.worker.streams import SLOTS, Streams, Worker

log = logging.getLogger(__name__)

LOOKS = 10
"""How often a worker is looked at before its silence counts as death."""

EXCUSES = 50
"""Looks at which a worker that says nothing is excused since others keep it from computing."""


class Supervisor:
    """Tracks the newest frame of each session in a worker process, and replaces it when it dies.

    load: makes the engine in the worker. min_rate: masks a second that each session must get for
    another to be let in. silence: seconds after which a worker hangs. max_restarts: in a minute.
    `restarts` counts them. `words`: that objects can be asked for by, known once started;
    `phrases`: any phrase will do as well.
    """

    def __init__(
        self,
        load: Load,
        min_rate: float = 5.0,
        launch: Launch = spawn,
        silence: float = WORKER_SILENCE,
        max_restarts: int = MAX_RESTARTS,
    ) -> None:
        self.restarts = 0
        self.words: tuple[str, ...] = ()
        self.phrases = False
        self._load = load
        self._launch = launch
        self._silence = silence
        self._max_restarts = max_restarts
        self._streams = Streams(Admission(min_rate))
        self._step_seconds = 0.0
        self._link: Link | None = None
        self._pinged = self._heard = False
        self._heard_at = 0.0
        self._deaths: deque[float] = deque()
        self._stopping = threading.Event()
        self._started: Future[None] = Future()
        self._threads = [
            threading.Thread(target=self._supervise, name="worker-supervisor", daemon=True),
            threading.Thread(target=self._feed, name="worker-feeder", daemon=True),
        ]

    @property
    def worker_pid(self) -> int | None:
        """The process that is at work; None while there is none."""
        link = self._link
        return None if link is None else link.pid

    @property
    def is_wanted(self) -> bool:
        """Whether pictures that are to be tracked come in. Called on any thread."""
        return self._streams.is_wanted

    def start(self) -> None:
        """Start the worker and wait until it is ready. Raises ModelError."""
        for thread in self._threads:
            thread.start()
        try:
            self._started.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the worker; waits for the step it is in, CLOSE_TIMEOUT at most."""
        self._stopping.set()
        self._streams.say(wire.Stop())
        for thread in self._threads:
            if thread.is_alive():
                thread.join(3 * CLOSE_TIMEOUT)

    def admit(self) -> None:
        """Raise Busy when there is no room for one more session."""
        self._streams.admit()

    def open(self, session: str, on_report: Callable[[Report], None]) -> None:
        """Begin a session. `on_report` is called on other threads and must return at once."""
        self._streams.open(session, on_report)

    def close(self, session: str) -> None:
        """Forget a session with all its objects; nothing is reported for it any more."""
        self._streams.close(session)

    def submit(self, session: str, frame: Frame) -> None:
        """Offer the newest frame; it takes the place of one that was not begun yet."""
        self._streams.submit(session, frame)

    def command(self, session: str, token: int, command: Command) -> None:
        """Apply a command after all earlier ones; Done(token) reports how it went.

        A prompt is applied to the next frame that the tracker sees. Raises LimitError, and
        ModelError while there is no worker and none is being started.
        """
        self._streams.command(session, token, command)

    def dropped(self, session: str) -> int:
        """Frames of a tracked session that the tracker never saw."""
        return self._streams.dropped(session)

    def queue_ages(self) -> dict[str, float]:
        """Seconds that what waits longest has waited, by queue."""
        return self._streams.queue_ages()

    def health(self) -> WorkerHealth:
        """Called on any thread; never waits for the worker."""
        state, silent, link = self._state(), None, self._link
        if link is not None:
            silent = max(time.monotonic() - self._heard_at, 0.0)
        return WorkerHealth(state, silent, self._silence_limit, self.restarts)

    def _state(self) -> State:
        if self._stopping.is_set():
            return "stopped"
        if not self._started.done():
            return "starting"
        if self._streams.is_broken or not all(thread.is_alive() for thread in self._threads):
            return "failed"
        return "restarting" if self._link is None else "ready"

    @property
    def _silence_limit(self) -> float:
        return max(self._silence, SLOW_STEPS * self._step_seconds)

    def _supervise(self) -> None:
        """One worker after the other."""
        while not self._stopping.is_set():
            try:
                self._live()
            except Exception as error:
                if not self._started.done():
                    self._fail_start(error)
                elif not self._stopping.is_set():
                    is_known = isinstance(error, SegstreamError | WorkerLostError | OSError)
                    trace = None if is_known else error
                    log.error("the worker is lost: %s", str(error), exc_info=trace)
            if not self._stopping.is_set():
                self._count_death()
        self._streams.finish()

    def _fail_start(self, error: Exception) -> None:
        if not isinstance(error, SegstreamError):
            log.debug("the worker did not start", exc_info=error)
            error = ModelError(f"the tracker's process did not start: {error}")
        self._stopping.set()
        self._started.set_exception(error)

    def _live(self) -> None:
        """One worker's life, until told to stop. Raises WorkerLostError, ModelError, OSError."""
        first = not self._started.done()
        link = Link(self._launch, self._load, measure=first)
        try:
            hello, memory = link.greet(SLOTS, self._stopping, None if first else WORKER_START)
            if hello.step_seconds is not None:
                self._step_seconds = hello.step_seconds
            self.words, self.phrases = hello.words, hello.phrases
            self._pinged = self._heard = False
            self._heard_at = time.monotonic()
            self._link = link
            link.listen(self._hear)
            self._streams.adopt(Worker(memory, hello.image_size, link.send))
            if first:
                self._started.set_result(None)
            self._watch(link)
        finally:
            self._link = None
            self._streams.orphan()
            link.close()

    def _watch(self, link: Link) -> None:
        """Until told to stop. Raises WorkerLostError when the worker ends or falls silent.

        Silence is counted in looks, not by the clock: a server that itself stood still for a
        while has not heard the worker, which is not the worker's fault. Nor is it when others keep
        it from computing, and another one would fare no better; but not for ever.
        """
        limit = self._silence_limit
        looks, excused, turns = 0, 0, Turns.of(link.pid)
        while not self._stopping.is_set():
            if link.ended.wait(limit / LOOKS) and not self._stopping.is_set():
                raise WorkerLostError("its process ended")
            before, turns = turns, Turns.of(link.pid)
            if self._heard:
                looks = excused = 0
            elif excused < EXCUSES and turns.kept_waiting(before, limit / LOOKS):
                excused += 1
            else:
                looks += 1
            self._heard = False
            if looks >= LOOKS:
                raise WorkerLostError(f"it was silent for {limit:g} s")
            if not self._pinged:
                self._pinged = True
                self._streams.say(wire.Ping())
        self._streams.say(wire.Stop())
        link.ended.wait(CLOSE_TIMEOUT)

    def _count_death(self) -> None:
        """After too many answer all with an error, and pause."""
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths[0] < now - RESTART_WINDOW:
            self._deaths.popleft()
        if len(self._deaths) <= self._max_restarts:
            self.restarts += 1
            return
        log.critical("the worker died %d times in a minute; giving up", len(self._deaths))
        self._streams.give_up(
            ModelError(
                "the tracker's process keeps failing and all objects were forgotten; "
                "the server's log says why"
            )
        )
        self._deaths.clear()
        self._stopping.wait(RESTART_WINDOW)

    def _feed(self) -> None:
        while (mail := self._streams.mail()) is not None:
            try:
                self._streams.post(mail)
            except OSError:
                log.debug("the worker is gone")  # the supervising thread sees it too
            except Exception:
                log.exception("something could not be sent to the worker")
            del mail  # it would keep a closed session alive

    def _hear(self, message: wire.FromWorker) -> None:
        self._heard, self._heard_at = True, time.monotonic()
        match message:
            case wire.Result() | wire.Released() | wire.Closed():
                self._streams.hear(message)
            case wire.Pong():
                self._pinged = False
