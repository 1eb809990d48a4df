"""The supervisor and the worker's code, without a process between them."""

import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from multiprocessing.connection import Connection

import av
import numpy as np
from fake_tracker import BrightEngine, BrightTracker, ThreadWorker

from stream.frames import Frame, Image, Masks
from stream.prompts import Point
from stream.worker.messages import AddPrompt, Done, Report, Update
from stream.worker.process import Load
from stream.worker.supervisor import Supervisor


def frame(index: int, bright: bool = True) -> Frame:
    picture = np.full((48, 64, 3), 30, np.uint8)
    if bright:
        picture[12:36, 16:48] = 220
    return Frame(
        av.VideoFrame.from_ndarray(picture, "rgb24"), index, index, Fraction(1, 30), float(index)
    )


def click(object_id: int, new: bool = True, x: float = 30) -> AddPrompt:
    return AddPrompt(Point(object_id, x, 20), new)


class Reports(list[Report]):
    """What one session was told; `until` waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, report: Report) -> None:
        with self._changed:
            self.append(report)
            self._changed.notify_all()

    def until(self, condition: Callable[["Reports"], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout=10), list(self)

    def done(self) -> dict[int, Exception | None]:
        return {report.token: report.error for report in self if isinstance(report, Done)}

    def updates(self) -> list[Update]:
        return [report for report in self if isinstance(report, Update)]


class Bench(BrightEngine):
    """A supervisor, and the trackers that its workers made, in order.

    fail: what new trackers raise in the first `failing_workers` workers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[ThreadWorker] = []
        self.fail: BaseException | None = None
        self.failing_workers = 1000
        self.supervisor = Supervisor(lambda: self, launch=self._launch, silence=1, max_restarts=2)
        self.supervisor.start()

    def open(self, session: str) -> Reports:
        reports = Reports()
        self.supervisor.open(session, reports)
        return reports

    def track(self, session: str) -> tuple[Reports, BrightTracker]:
        """A session with one tracked object, idle."""
        reports = self.open(session)
        self.supervisor.command(session, 1000, click(1))
        self.supervisor.submit(session, frame(0))
        reports.until(lambda r: r.updates())
        return reports, self.trackers[-1]

    def new_tracker(self) -> BrightTracker:
        tracker: BrightTracker = super().new_tracker()
        if len(self.workers) <= self.failing_workers:
            tracker.fail = self.fail
        return tracker

    def step(self, trackers: Sequence[BrightTracker], images: Sequence[Image]) -> list[Masks]:
        try:
            return super().step(trackers, images)
        except SystemExit:
            self.workers[-1].kill()
            # Its reading thread ends too, as it would with a process.
            self.until(lambda: "worker-pipe" not in worker_threads())
            raise

    def lose_worker(self) -> None:
        """Cut the worker off, and wait for the next one."""
        count = len(self.workers)
        self.workers[-1].kill()
        for tracker in self.trackers:
            tracker.gate.set()
        self.until(lambda: len(self.workers) > count)

    def until(self, condition: Callable[[], object]) -> None:
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.01)
        raise AssertionError(f"not within 10 s; threads: {worker_threads()}")

    def _launch(self, connection: Connection, load: Load, measure: bool) -> ThreadWorker:
        self.workers.append(ThreadWorker(connection, load, measure))
        return self.workers[-1]


def worker_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("worker")]
