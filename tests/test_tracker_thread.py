"""The tracker's thread: which frames it takes, and what becomes of commands."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from fake_tracker import BrightTracker

from stream.errors import InputError, LimitError, ModelError, PromptError, UnknownObject
from stream.frames import Frame
from stream.limits import MAX_COMMANDS
from stream.messages import RemoveObject, Reset, Undo
from stream.prompts import Point
from stream.worker.messages import AddPrompt, Done, Failed, Report, Update
from stream.worker.thread import TrackerThread


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


class Bench:
    """A thread, and the trackers that it made, in order."""

    def __init__(self) -> None:
        self.trackers: list[BrightTracker] = []
        self.thread = TrackerThread(self._make)
        self.thread.start()

    def open(self, session: str) -> Reports:
        reports = Reports()
        self.thread.open(session, reports)
        return reports

    def track(self, session: str) -> tuple[Reports, BrightTracker]:
        """A session with one tracked object, idle."""
        reports = self.open(session)
        self.thread.command(session, 1000, click(1))
        self.thread.submit(session, frame(0))
        reports.until(lambda r: r.updates())
        return reports, self.trackers[-1]

    def _make(self) -> BrightTracker:
        self.trackers.append(BrightTracker())
        return self.trackers[-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for tracker in bench.trackers:
        tracker.gate.set()
    bench.thread.stop()
    assert not any(thread.name == "tracker" for thread in threading.enumerate())


def test_newest_frame_wins_and_the_others_are_counted(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.thread.submit("a", frame(1))
    assert tracker.entered.wait(10)
    for index in (2, 3, 4, 5):
        bench.thread.submit("a", frame(index))
    tracker.gate.set()
    reports.until(lambda r: r.updates()[-1].received == 5)
    assert tracker.seen == [0, 1, 5]
    assert bench.thread.dropped("a") == 3


def test_without_an_object_the_tracker_does_not_run(bench: Bench) -> None:
    reports = bench.open("a")
    for index in range(5):
        bench.thread.submit("a", frame(index))
    other, _ = bench.track("b")
    assert other.updates()
    assert not reports
    assert len(bench.trackers) == 1
    assert bench.thread.dropped("a") == 0


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
    bench.thread.submit("a", frame(1, bright=False))
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
        bench.thread.command("a", token, command)
    time.sleep(0.05)
    assert not reports, "prompts wait for a picture"
    bench.thread.submit("a", frame(0))
    reports.until(lambda r: r.updates())
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
    bench.thread.submit("a", frame(1))
    assert tracker.entered.wait(10)
    for index in range(2, 12):
        bench.thread.submit("a", frame(index))
        bench.thread.command("a", index, click(index))
    tracker.gate.set()
    reports.until(lambda r: len(r.done()) == 11)
    assert set(tracker.object_ids) == {1, *range(2, 12)}
    assert tracker.seen == [0, 1, 11]


def test_what_needs_no_picture_is_done_at_once(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    bench.thread.command("a", 1, Undo())
    reports.until(lambda r: len(r.updates()) == 2)
    assert reports.updates()[-1].masks is None
    bench.thread.command("a", 2, Undo())
    reports.until(lambda r: 2 in r.done())
    assert isinstance(reports.done()[2], InputError)
    bench.thread.command("a", 3, Reset())
    reports.until(lambda r: 3 in r.done())
    assert tracker.seen == [0]


def test_the_last_object_takes_the_masks_with_it(bench: Bench) -> None:
    reports, _ = bench.track("a")
    bench.thread.command("a", 1, RemoveObject(1))
    reports.until(lambda r: len(r.updates()) == 2)
    assert reports.updates()[-1] == Update(None, (), False, 0.0, commanded=True)


def test_command_queue_is_bounded(bench: Bench) -> None:
    reports = bench.open("a")
    for token in range(MAX_COMMANDS):
        bench.thread.command("a", token, click(1, new=token == 0))
    with pytest.raises(LimitError, match="wait already"):
        bench.thread.command("a", 99, click(1))
    bench.thread.submit("a", frame(0))
    reports.until(lambda r: len(r.done()) == MAX_COMMANDS)
    assert set(reports.done().values()) == {None}


def test_a_failing_tracker_is_replaced_and_the_others_go_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    reports, tracker = bench.track("a")
    tracker.fail = RuntimeError("out of memory")
    bench.thread.command("a", 1, click(2))
    bench.thread.submit("a", frame(1))
    reports.until(lambda r: len(r.updates()) == 2)
    assert isinstance(reports.done()[1], ModelError)
    assert [type(report) for report in reports[-3:]] == [Done, Failed, Update]
    assert reports.updates()[-1].masks is None
    assert "out of memory" in caplog.text
    assert bench.track("b")[0].done() == {1000: None}
    bench.thread.command("a", 2, click(3))
    bench.thread.submit("a", frame(2))
    reports.until(lambda r: 2 in r.done())
    assert reports.done()[2] is None
    assert bench.trackers[-1].object_ids == (3,)


def test_the_session_that_waits_longest_is_next(bench: Bench) -> None:
    a, blocker = bench.track("a")
    b, _ = bench.track("b")
    c, _ = bench.track("c")
    order: list[str] = []
    for name, tracker in zip("bc", bench.trackers[1:], strict=True):
        step = tracker.step

        def noted(image, prompts=(), name=name, step=step):  # type: ignore[no-untyped-def]
            order.append(name)
            return step(image, prompts)

        tracker.step = noted  # type: ignore[method-assign]
    blocker.gate.clear()
    blocker.entered.clear()
    bench.thread.submit("a", frame(1))
    assert blocker.entered.wait(10)
    bench.thread.submit("c", frame(1))
    bench.thread.submit("b", frame(1))
    bench.thread.submit("c", frame(2))  # a newer frame keeps its turn
    blocker.gate.set()
    for reports in (a, b, c):
        reports.until(lambda r: len(r.updates()) == 2)
    assert order == ["c", "b"]


def test_a_closed_session_is_told_nothing(bench: Bench) -> None:
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    tracker.entered.clear()
    bench.thread.submit("a", frame(1))
    assert tracker.entered.wait(10)
    bench.thread.close("a")
    before = len(reports)
    tracker.gate.set()
    bench.track("b")
    assert len(reports) == before
    bench.thread.submit("a", frame(2))
    bench.thread.command("a", 1, click(1))
    assert bench.thread.dropped("a") == 0
