"""The supervisor and the worker's code, without a process between them: which frames the tracker
sees, and what becomes of commands, also when the worker is lost."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import Any

import av
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import BrightEngine, BrightTracker, ThreadWorker, bright_supervisor
from rtc_client import Client, Scene

import stream.worker.supervisor
from stream.errors import Busy, InputError, LimitError, ModelError, PromptError, UnknownObject
from stream.frames import Frame, Image, Masks
from stream.limits import MAX_COMMANDS
from stream.messages import RemoveObject, Reset, Undo
from stream.prompts import Point
from stream.server.app import create_app
from stream.settings import Settings
from stream.worker.launch import spawn
from stream.worker.messages import AddPrompt, Done, Failed, Report, Update
from stream.worker.process import Load
from stream.worker.streams import SLOTS
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


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for tracker in bench.trackers:
        tracker.gate.set()
    bench.supervisor.stop()
    bench.until(lambda: not worker_threads())


def worker_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("worker")]


def test_newest_frame_wins_and_the_others_are_counted(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.supervisor.submit("a", frame(1))
    assert tracker.entered.wait(10)
    for index in (2, 3, 4, 5):
        bench.supervisor.submit("a", frame(index))
    bench.until(lambda: bench.supervisor.dropped("a") == 3)
    tracker.gate.set()
    reports.until(lambda r: r.updates()[-1].received == 5)
    assert tracker.seen == [0, 1, 5]
    assert bench.supervisor.dropped("a") == 3


def test_without_an_object_the_tracker_does_not_run(bench: Bench) -> None:
    reports = bench.open("a")
    for index in range(5):
        bench.supervisor.submit("a", frame(index))
    other, _ = bench.track("b")
    assert other.updates()
    assert not reports
    assert len(bench.trackers) == 1
    assert bench.supervisor.dropped("a") == 0


def test_update_tells_masks_and_what_is_seen(bench: Bench) -> None:
    reports, _ = bench.track("a")
    [update] = reports.updates()
    assert update.masks is not None
    assert update.masks.object_ids == (1,)
    assert update.commanded
    assert update.can_undo
    [sighting] = update.sightings
    assert sighting.object_id == 1
    assert sighting.visible
    assert sighting.area == pytest.approx(0.25, abs=0.05)
    bench.supervisor.submit("a", frame(1, bright=False))
    reports.until(lambda r: len(r.updates()) == 2)
    assert not reports.updates()[1].sightings[0].visible
    assert not reports.updates()[1].commanded


def test_commands_are_applied_in_order_and_errors_go_to_their_token(bench: Bench) -> None:
    reports = bench.open("a")
    for token, command in enumerate(
        [
            click(1),
            click(2),
            click(2, new=False),
            click(7, new=False),
            click(3, x=900),
            RemoveObject(1),
            RemoveObject(1),
            click(1, new=False),
        ]
    ):
        bench.supervisor.command("a", token, command)
    time.sleep(0.05)
    assert not reports, "prompts wait for a picture"
    bench.supervisor.submit("a", frame(0))
    reports.until(lambda r: len(r.done()) == 8)
    done = reports.done()
    assert list(done) == list(range(8))
    assert [type(error) for error in done.values()] == [
        type(None),
        type(None),
        type(None),
        UnknownObject,
        PromptError,
        type(None),
        UnknownObject,
        UnknownObject,
    ]
    assert bench.trackers[0].object_ids == (2,)
    assert bench.trackers[0].seen == [0], "one picture serves all commands"


def test_prompts_survive_dropped_frames(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.supervisor.submit("a", frame(1))
    assert tracker.entered.wait(10)
    for index in range(2, 12):
        bench.supervisor.submit("a", frame(index))
        bench.supervisor.command("a", index, click(index))
    tracker.gate.set()
    reports.until(lambda r: len(r.done()) == 11)
    assert set(tracker.object_ids) == {1, *range(2, 12)}
    bench.until(lambda: len(tracker.seen) + bench.supervisor.dropped("a") == 12)
    assert tracker.seen[-1] == 11
    assert len(tracker.seen) < 6


def test_what_needs_no_picture_is_done_at_once(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    bench.supervisor.command("a", 1, Undo())
    reports.until(lambda r: len(r.updates()) == 2)
    assert reports.updates()[-1].masks is None
    bench.supervisor.command("a", 2, Undo())
    reports.until(lambda r: 2 in r.done())
    assert isinstance(reports.done()[2], InputError)
    bench.supervisor.command("a", 3, Reset())
    reports.until(lambda r: 3 in r.done())
    assert tracker.seen == [0]


def test_the_last_object_takes_the_masks_with_it(bench: Bench) -> None:
    reports, _ = bench.track("a")
    bench.supervisor.command("a", 1, RemoveObject(1))
    reports.until(lambda r: len(r.updates()) == 2)
    assert reports.updates()[-1] == Update(None, (), False, 0.0, commanded=True)


def test_command_queue_is_bounded(bench: Bench) -> None:
    reports = bench.open("a")
    for token in range(MAX_COMMANDS):
        bench.supervisor.command("a", token, click(1, new=token == 0))
    with pytest.raises(LimitError, match="wait already"):
        bench.supervisor.command("a", 99, click(1))
    bench.supervisor.submit("a", frame(0))
    reports.until(lambda r: len(r.done()) == MAX_COMMANDS)
    assert set(reports.done().values()) == {None}


def test_a_failing_tracker_is_replaced_and_the_others_go_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    reports, tracker = bench.track("a")
    tracker.fail = RuntimeError("out of memory")
    bench.supervisor.command("a", 1, click(2))
    bench.supervisor.submit("a", frame(1))
    reports.until(lambda r: len(r.updates()) == 2)
    assert isinstance(reports.done()[1], ModelError)
    assert [type(report) for report in reports[-3:]] == [Done, Failed, Update]
    assert reports.updates()[-1].masks is None
    assert "out of memory" in caplog.text
    assert bench.track("b")[0].done() == {1000: None}
    bench.supervisor.command("a", 2, click(3))
    bench.supervisor.submit("a", frame(2))
    reports.until(lambda r: 2 in r.done())
    assert reports.done()[2] is None
    assert bench.trackers[-1].object_ids == (3,)


def test_a_closed_session_is_told_nothing(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.supervisor.submit("a", frame(1))
    assert tracker.entered.wait(10)
    bench.supervisor.close("a")
    before = len(reports)
    tracker.gate.set()
    bench.track("b")
    assert len(reports) == before
    bench.supervisor.submit("a", frame(2))
    bench.supervisor.command("a", 1, click(1))
    assert bench.supervisor.dropped("a") == 0


def test_after_a_loss_the_objects_are_still_there(bench: Bench) -> None:
    a, _ = bench.track("a")
    b, _ = bench.track("b")
    bench.supervisor.command("b", 1, click(7))
    bench.supervisor.submit("b", frame(1))
    b.until(lambda r: 1 in r.done())
    bench.lose_worker()
    for index in range(2, 4):
        for session, reports in (("a", a), ("b", b)):
            bench.supervisor.submit(session, frame(index))
            reports.until(lambda r, index=index: r.updates()[-1].received == index)
    assert [a.updates()[-1].masks.object_ids, b.updates()[-1].masks.object_ids] == [(1,), (1, 7)]
    assert bench.supervisor.restarts == 1
    assert not [report for report in (*a, *b) if isinstance(report, Failed)]


def test_commands_in_flight_are_given_to_the_next_worker(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.supervisor.submit("a", frame(1))
    assert tracker.entered.wait(10)
    bench.supervisor.command("a", 1, click(2))
    bench.supervisor.command("a", 2, RemoveObject(1))
    bench.supervisor.submit("a", frame(2))
    bench.lose_worker()
    bench.supervisor.command("a", 3, click(3))
    bench.supervisor.submit("a", frame(3))
    reports.until(lambda r: 3 in r.done())
    assert [report.token for report in reports if isinstance(report, Done)] == [1000, 1, 2, 3]
    assert set(reports.done().values()) == {None}
    reports.until(lambda r: r.updates()[-1].masks.object_ids == (2, 3))


def test_a_command_that_kills_is_answered_and_not_given_again(bench: Bench) -> None:
    a, _ = bench.track("a")
    b = bench.open("b")
    bench.fail, bench.failing_workers = SystemExit(), 2
    bench.supervisor.command("b", 1, click(1))
    bench.supervisor.submit("b", frame(0))
    b.until(lambda r: 1 in r.done())
    assert isinstance(b.done()[1], ModelError)
    bench.supervisor.submit("a", frame(1))
    a.until(lambda r: r.updates()[-1].received == 1)
    bench.supervisor.command("b", 2, click(1))
    bench.supervisor.submit("b", frame(2))
    b.until(lambda r: 2 in r.done())
    assert b.done()[2] is None


def test_too_many_losses_are_told_and_later_it_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.worker.supervisor, "RESTART_WINDOW", 3.0)
    reports, _ = bench.track("a")
    bench.fail = SystemExit()
    bench.trackers[-1].fail = bench.fail
    index = 0
    while not any(isinstance(report, Failed) for report in reports):
        index += 1
        assert index < 1000
        bench.supervisor.submit("a", frame(index))
        time.sleep(0.01)
    reports.until(lambda r: r.updates()[-1].masks is None)
    assert len(bench.workers) == 3
    with pytest.raises(Busy, match="keeps failing"):
        bench.supervisor.admit()
    with pytest.raises(ModelError, match="keeps failing"):
        bench.supervisor.command("a", 1, click(2))
    bench.fail = None
    bench.until(lambda: len(bench.workers) == 4)
    bench.until(lambda: not refused(bench.supervisor))
    bench.supervisor.command("a", 2, click(2))
    bench.supervisor.submit("a", frame(1))
    reports.until(lambda r: 2 in r.done())
    assert reports.updates()[-1].masks.object_ids == (2,)


def refused(supervisor: Supervisor) -> bool:
    try:
        supervisor.admit()
    except Busy:
        return True
    return False


def test_a_damaged_snapshot_costs_its_session_the_objects_and_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrightTracker, "snapshot", lambda self: b"no JSON")
    a, _ = bench.track("a")
    monkeypatch.undo()
    b, _ = bench.track("b")
    bench.lose_worker()
    for session, reports in (("a", a), ("b", b)):
        bench.supervisor.submit(session, frame(1))
        reports.until(lambda r: len(r.updates()) == 2)
    assert a.updates()[-1].masks is None
    assert b.updates()[-1].masks is not None
    assert [type(report) for report in a[-2:]] == [Failed, Update]
    bench.supervisor.command("a", 1, click(2))
    bench.supervisor.submit("a", frame(2))
    a.until(lambda r: 1 in r.done())
    assert a.done()[1] is None


def test_a_worker_that_falls_silent_is_replaced(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    bench.supervisor.submit("a", frame(1))
    bench.until(lambda: bench.workers[0].was_killed)
    tracker.gate.set()
    bench.until(lambda: len(bench.workers) == 2)
    bench.supervisor.submit("a", frame(2))
    reports.until(lambda r: r.updates()[-1].received == 2)


def test_closed_sessions_give_their_slots_back(bench: Bench) -> None:
    for _ in range(3 * SLOTS):
        bench.open("a")
        bench.supervisor.close("a")
    sessions = [str(number) for number in range(SLOTS)]
    opened = [bench.open(session) for session in sessions]
    for session, reports in zip(sessions, opened, strict=True):
        bench.supervisor.command(session, 1, click(1))
        bench.supervisor.submit(session, frame(0))
        reports.until(lambda r: r.updates())
    late = bench.open("one too many")
    bench.supervisor.command("one too many", 1, click(1))
    bench.supervisor.submit("one too many", frame(0))
    bench.supervisor.close(sessions[3])
    late.until(lambda r: r.updates())


def test_a_network_that_cannot_be_loaded_is_told_at_the_start() -> None:
    def load() -> BrightEngine:
        raise ModelError("no such weights")

    def crash() -> BrightEngine:
        raise SystemExit

    for broken, launch, message in (
        (load, ThreadWorker, "no such weights"),
        (crash, ThreadWorker, "ended while it started"),
        (load, spawn, "pickle"),
    ):
        supervisor = Supervisor(broken, launch=launch)
        with pytest.raises(ModelError, match=message):
            supervisor.start()
        assert worker_threads() == []


def test_sessions_are_let_in_while_there_is_time_for_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BrightTracker.step

    def slow(tracker: BrightTracker, *arguments: Any) -> Masks:
        time.sleep(0.12)  # at 5 masks a second there is time for one such step, not for two
        return step(tracker, *arguments)

    monkeypatch.setattr(BrightTracker, "step", slow)
    bench.supervisor.admit()
    bench.open("idle")
    bench.supervisor.admit()
    reports, _ = bench.track("a")
    with pytest.raises(Busy, match="tracked: 1"):
        bench.supervisor.admit()
    bench.supervisor.command("a", 1, Reset())
    reports.until(lambda r: 1 in r.done())
    bench.supervisor.admit()


async def test_a_client_without_a_place_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = bright_supervisor()

    def admit() -> None:
        raise Busy("the model is busy", retry_after=7)

    monkeypatch.setattr(supervisor, "admit", admit)
    client = Client(Scene())
    async with TestClient(TestServer(create_app(Settings(), supervisor))) as http:
        response = await http.post("/rtc", json=await client.offer())
        assert response.status == 503
        assert response.headers["Retry-After"] == "7"
        assert (await response.json())["error"]["code"] == "busy"
    await client.close()
