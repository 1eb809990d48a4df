"""The worker as a process, with the embedded network: what it finds, and what its death costs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake_tracker import BrightEngine, BrightTracker

from benchmarks.davis import DATA, clips, read_picture
from stream.errors import Busy, ModelError
from stream.frames import Frame, Image, Masks
from stream.limits import MAX_FAILURES
from stream.prompts import Point
from stream.settings import Settings
from stream.track import catalog
from stream.track.tracker import Tracker
from stream.worker.launch import Handle, NetworkEngine, engine, spawn
from stream.worker.messages import AddPrompt, Done, Failed, Report, Update
from stream.worker.process import Engine, Load
from stream.worker.supervisor import Supervisor
from tests.clips import centre

CLIP = "dog"
FRAMES = 24
WAIT = 60.0
"""Seconds in which a worker has started, or answered, also on a machine that is busy."""
ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    [clip] = clips(DATA, [CLIP])
    return [
        Frame(
            av.VideoFrame.from_ndarray(read_picture(path), "rgb24").reformat(format="yuv420p"),
            index,
            index,
            Fraction(1, 30),
            float(index),
        )
        for index, path in enumerate(clip.first(FRAMES).pictures)
    ]


@pytest.fixture(scope="module")
def uninterrupted(frames: list[Frame]) -> list[Masks]:
    """What a tracker in this process finds on every frame after one click on the first."""
    tracker = Tracker(catalog.load("nano"))
    size = tracker.image_size
    first = tracker.step(frames[0].image(size), (click(1).prompt,))
    return [first, *(tracker.step(frame.image(size)) for frame in frames[1:])]


def spawn_unmeasured(connection: Connection, load: Load, measure: bool) -> Handle:
    return spawn(connection, load, False)


@contextmanager
def supervising(load: Callable[[], Engine], **options: Any) -> Iterator[Supervisor]:
    """How long its worker may be silent does not depend on how busy this machine is."""
    supervisor = Supervisor(load, launch=spawn_unmeasured, **options)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with supervising(engine(Settings()), silence=2.0) as supervisor:
        yield supervisor


def click(object_id: int) -> AddPrompt:
    return AddPrompt(Point(object_id, *centre(CLIP, 0)), new=True)


class Session:
    """Sends frames one after the other; keeps the newest masks and all that went wrong."""

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        self.masks: Masks | None = None
        self.done: dict[int, Exception | None] = {}
        self.failed: list[Exception] = []
        self._supervisor = supervisor
        self._name = name
        self._changed = threading.Condition()
        supervisor.open(name, self._on_report)

    def add(self, object_id: int, frame: Frame) -> Masks:
        self._supervisor.command(self._name, object_id, click(object_id))
        return self.track(frame, lambda: object_id in self.done)

    def track(self, frame: Frame, condition: Callable[[], bool] = lambda: True) -> Masks:
        """Send a frame and return its masks."""
        self.send(frame)
        return self.until_tracked(frame, condition)

    def send(self, frame: Frame) -> None:
        self._supervisor.submit(self._name, frame)

    def until_tracked(self, frame: Frame, condition: Callable[[], bool] = lambda: True) -> Masks:
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.masks is not None and self.masks.index == frame.index and condition(),
                timeout=WAIT,
            ), (self.masks, self.done, self.failed)
            assert self.masks is not None
            return self.masks

    def close(self) -> None:
        self._supervisor.close(self._name)

    def _on_report(self, report: Report) -> None:
        with self._changed:
            match report:
                case Update():
                    self.masks = report.masks
                case Done(token, error):
                    self.done[token] = error
                case Failed(error):
                    self.failed.append(error)
            self._changed.notify_all()


def iou(found: Masks, wanted: Masks) -> float:
    a, b = found.logits[0] > 0, wanted.logits[0] > 0
    return float((a & b).sum() / (a | b).sum())


def until(condition: Callable[[], object], wait: float = WAIT) -> None:
    deadline = time.monotonic() + wait
    while not condition():
        assert time.monotonic() < deadline, f"not within {wait} s"
        time.sleep(0.02)


def test_masks_are_those_of_a_tracker_in_this_process(
    supervisor: Supervisor, frames: list[Frame], uninterrupted: list[Masks]
) -> None:
    session = Session(supervisor, "a")
    found = [session.add(1, frames[0]), *(session.track(frame) for frame in frames[1:12])]
    for ours, theirs in zip(found, uninterrupted, strict=False):
        assert ours.object_ids == theirs.object_ids == (1,)
        assert np.allclose(ours.logits, theirs.logits, rtol=2e-3, atol=2e-3)
        assert np.allclose(ours.scores, theirs.scores, atol=1e-3)
        assert np.allclose(ours.ious, theirs.ious, atol=1e-3)


def test_sessions_that_share_steps_do_not_change_each_other(
    frames: list[Frame], uninterrupted: list[Masks]
) -> None:
    with supervising(engine(Settings(), max_batch=2)) as supervisor:
        a, b = Session(supervisor, "a"), Session(supervisor, "b")
        for session in (a, b):
            session.add(1, frames[0])
        for frame in frames[1:8]:
            for session in (a, b):
                session.send(frame)
            for session in (a, b):
                masks = session.until_tracked(frame)
                assert np.allclose(
                    masks.logits, uninterrupted[frame.index].logits, rtol=2e-3, atol=2e-3
                )


def test_a_worker_with_windows_takes_larger_pictures(frames: list[Frame]) -> None:
    with supervising(engine(Settings(window=True))) as supervisor:
        session = Session(supervisor, "a")
        session.add(1, frames[0])
        tracker = Tracker(catalog.load("nano"), windowed=True)
        tracker.step(frames[0].image(tracker.image_size), (click(1).prompt,))
        for frame in frames[1:4]:
            theirs = session.track(frame)
            ours = tracker.step(frame.image(tracker.image_size))
            assert theirs.logits.shape == ours.logits.shape
            assert iou(theirs, ours) > 0.95


def torch_nano() -> Engine:
    """The embedded model's torch weights: the way that the full models go."""
    from stream.track.networks.sam2 import Sam2Network
    from stream.training.checkpoint import nano_model

    return NetworkEngine(Sam2Network(nano_model()), max_batch=2, windowed=False)


def test_a_network_under_torch(frames: list[Frame], uninterrupted: list[Masks]) -> None:
    with supervising(torch_nano) as supervisor:
        session = Session(supervisor, "a")
        session.add(1, frames[0])
        for frame in frames[1:5]:
            assert iou(session.track(frame), uninterrupted[frame.index]) > 0.95


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_worker_is_replaced_and_all_sessions_go_on(
    supervisor: Supervisor, frames: list[Frame], uninterrupted: list[Masks], number: int
) -> None:
    a, b = Session(supervisor, "a"), Session(supervisor, "b")
    a.add(1, frames[0])
    b.add(3, frames[0])
    b.add(5, frames[1])
    for frame in frames[1:10]:
        a.track(frame)
    before = supervisor.worker_pid
    assert before is not None
    os.kill(before, number)
    agreed: list[float] = []
    for frame in frames[10:]:
        masks = a.track(frame)
        assert masks.object_ids == (1,)
        agreed.append(iou(masks, uninterrupted[frame.index]))
    assert np.mean(agreed) >= 0.95
    assert min(agreed) >= 0.85
    assert b.track(frames[12]).object_ids == (3, 5)
    assert supervisor.worker_pid not in (None, before)
    assert supervisor.restarts == 1
    assert not a.failed + b.failed
    assert not Path(f"/proc/{before}").exists(), "neither alive nor a zombie"


class CrashingEngine(BrightEngine):
    def step(self, trackers: Sequence[BrightTracker], images: Sequence[Image]) -> list[Masks]:
        os._exit(3)


def test_a_worker_that_dies_again_and_again_is_given_up(frames: list[Frame]) -> None:
    with supervising(CrashingEngine, max_restarts=5) as supervisor:
        # Each command kills two workers, and is then answered; the third one kills the last two.
        session = Session(supervisor, "a")
        for token in (1, 2, 3):
            supervisor.command("a", token, click(token))
            while token not in session.done:
                supervisor.submit("a", frames[0])
                time.sleep(0.02)
        assert set(map(type, session.done.values())) != {type(None)}
        until(lambda: session.failed)
        assert supervisor.restarts == 5
        with pytest.raises(Busy):
            supervisor.admit()


class FailingEngine(BrightEngine):
    def step(self, trackers: Sequence[BrightTracker], images: Sequence[Image]) -> list[Masks]:
        raise RuntimeError("the device fell off the bus")


def test_a_worker_in_which_nothing_works_is_replaced(frames: list[Frame]) -> None:
    with supervising(FailingEngine) as supervisor:
        session = Session(supervisor, "a")
        for token in range(1, MAX_FAILURES + 1):
            assert supervisor.restarts == 0
            supervisor.command("a", token, click(token))
            supervisor.submit("a", frames[0])
            until(lambda token=token: len(session.failed) == token)
        until(lambda: supervisor.restarts == 1)
        assert [type(error) for error in session.done.values()] == [ModelError] * MAX_FAILURES


def shares_without_a_name(pid: int) -> bool:
    """Whether a process has memory that it shares, and none of it that others could attach to."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    shared = [line for line in maps if "/dev/shm/psm_" in line]
    return bool(shared) and all(line.endswith("(deleted)") for line in shared)


def test_nothing_is_left_behind(supervisor: Supervisor, frames: list[Frame]) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))

    def worker_handles() -> int:
        return len(os.listdir(f"/proc/{supervisor.worker_pid}/fd"))

    def round_trip() -> None:
        session = Session(supervisor, "a")
        session.add(1, frames[0])
        session.close()

    round_trip()
    ours, theirs = handles(), worker_handles()
    for _ in range(20):
        round_trip()
    assert handles() <= ours
    assert worker_handles() <= theirs
    until(lambda: shares_without_a_name(os.getpid()))
    pid = supervisor.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.worker_pid not in (None, pid))
    round_trip()
    assert handles() <= ours
    last = supervisor.worker_pid
    supervisor.stop()
    assert handles() < ours
    assert not Path(f"/proc/{last}").exists()
    assert not any(thread.name.startswith("worker") for thread in threading.enumerate())


SERVER = """
import asyncio, sys
from aiohttp import web
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.settings import Settings

async def serve():
    app = create_app(Settings())
    runner = web.AppRunner(app)
    await runner.setup()
    heavy = [name for name in ("onnxruntime", "torch", "sam2") if name in sys.modules]
    print(app[PEERS]._tracker.worker_pid, heavy, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(serve())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_server_is_light_and_takes_its_worker_along(tmp_path: Path, number: int) -> None:
    script = tmp_path / "serve.py"
    script.write_text(SERVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    server = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        pid, heavy = server.stdout.readline().split(maxsplit=1)
        assert heavy.strip() == "[]"
        until(lambda: shares_without_a_name(server.pid))
        server.send_signal(number)
        _, errors = server.communicate(timeout=WAIT)
        until(lambda: not Path(f"/proc/{pid}").exists())
        assert "resource_tracker" not in errors
        assert "leaked" not in errors
    finally:
        server.kill()
        server.wait()
