"""What becomes of sessions and their commands when a worker fails, hangs or is lost."""

import time

import pytest
from fake_tracker import BrightEngine, BrightTracker, ThreadWorker
from supervisor_bench import Bench, click, frame, worker_threads

import stream.worker.supervisor
from stream.errors import Busy, ModelError
from stream.messages import RemoveObject
from stream.niceness import Turns
from stream.worker.launch import spawn
from stream.worker.messages import Done, Failed, Update
from stream.worker.supervisor import Supervisor


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


def test_a_worker_that_is_kept_from_computing_is_waited_for_but_not_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    class Waiting:
        @staticmethod
        def of(_: int | None) -> Turns:
            looks.append(len(bench.workers))
            return Turns(0.0, float(len(looks)), wants=False)

    monkeypatch.setattr(stream.worker.supervisor, "Turns", Waiting)
    monkeypatch.setattr(stream.worker.supervisor, "EXCUSES", 25)
    reports, tracker = bench.track("a")
    tracker.gate.clear()
    looks.clear()
    bench.supervisor.submit("a", frame(1))
    bench.until(lambda: len(bench.workers) == 2)
    assert 30 <= looks.count(1) <= 40
    tracker.gate.set()
    bench.supervisor.submit("a", frame(2))
    reports.until(lambda r: r.updates()[-1].received == 2)


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
