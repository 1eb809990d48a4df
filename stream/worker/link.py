"""The server's end of one running worker: its process, its pipe and the shared memory."""

import logging
import threading
from collections.abc import Callable
from multiprocessing import Pipe

from stream.limits import CLOSE_TIMEOUT, WORKER_START
from stream.worker import wire
from stream.worker.launch import Launch
from stream.worker.process import Load
from stream.worker.shm import SharedSlots

log = logging.getLogger(__name__)

POLL = 0.1
"""Seconds between two looks at whether the server stops, while a worker loads its network."""


class WorkerLostError(Exception):
    """The worker ended or was silent for too long."""


class Link:
    """Starts a worker. `ended` is set when nothing more will come from it.

    measure: let it time a step first.
    """

    def __init__(self, launch: Launch, load: Load, measure: bool) -> None:
        self.ended = threading.Event()
        self._memory: SharedSlots | None = None
        self._connection, theirs = Pipe()
        self._sending = threading.Lock()
        self._is_dead = False
        self._reader: threading.Thread | None = None
        with theirs:
            self._handle = launch(theirs, load, measure)
        self.pid = self._handle.pid

    def greet(
        self, slots: int, stop: threading.Event, timeout: float | None
    ) -> tuple[wire.Hello, SharedSlots]:
        """Wait until the network is loaded, and share memory for `slots` sessions.

        timeout: for loading, which may include a download; None: for ever.
        Raises ModelError: it cannot be loaded. Raises WorkerLostError.
        """
        hello = self._receive(stop, timeout)
        if isinstance(hello, wire.Unusable):
            raise hello.error
        if not isinstance(hello, wire.Hello):
            raise WorkerLostError(f"it said {hello} instead of hello")
        self._memory = memory = SharedSlots.create(hello.image_size, slots)
        try:
            self.send(wire.Attach(memory.name, slots))
            self._receive(stop, WORKER_START)
        except BaseException:
            # Only once it is dead: a name that it registers after it was unlinked would stay
            # registered, and Python would warn of a leak.
            self._kill()
            raise
        finally:
            memory.unlink()
        return hello, memory

    def listen(self, hear: Callable[[wire.FromWorker], None]) -> None:
        """Call `hear` with all that comes, on a thread of its own, until the worker ends."""
        self._reader = threading.Thread(
            target=self._listen, args=(hear,), name="worker-reader", daemon=True
        )
        self._reader.start()

    def send(self, message: wire.ToWorker) -> None:
        """Blocks while the pipe is full. Raises OSError when the worker is gone."""
        with self._sending:
            self._connection.send(message)

    def close(self) -> None:
        """End the worker, if it has not ended, and free everything."""
        self._kill()
        if self._reader is not None:
            self._reader.join()
        with self._sending:
            self._connection.close()
        if self._memory is not None:
            self._memory.close()

    def _listen(self, hear: Callable[[wire.FromWorker], None]) -> None:
        try:
            while True:
                hear(self._connection.recv())
        except (EOFError, OSError):
            pass
        except Exception:
            log.exception("what the worker said could not be taken in")
        finally:
            self.ended.set()

    def _receive(self, stop: threading.Event, timeout: float | None) -> wire.FromWorker:
        waited = 0.0
        while not self._connection.poll(POLL):
            waited += POLL
            if stop.is_set():
                raise WorkerLostError("the server stops")
            if timeout is not None and waited > timeout:
                raise WorkerLostError(f"it said nothing for {timeout:g} s while it started")
        try:
            message: wire.FromWorker = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError("it ended while it started") from error
        return message

    def _kill(self) -> None:
        if self._is_dead:
            return
        if self._handle.is_alive():
            self._handle.kill()
        self._handle.join(CLOSE_TIMEOUT)
        if self._handle.is_alive():
            log.error("the worker cannot be ended; it is left behind")
        else:
            self._handle.close()
            self._is_dead = True
