"""Which frames the tracker sees, what becomes of commands, and who is let in."""

import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import BrightTracker, bright_supervisor
from rtc_client import Client, Scene, eventually
from supervisor_bench import Bench, click, frame

from stream.errors import Busy, InputError, LimitError, PromptError, UnknownObject
from stream.frames import Frame, Masks
from stream.limits import MAX_COMMANDS
from stream.messages import RemoveObject, Reset, Undo
from stream.server.app import create_app
from stream.server.submit import SUBMISSIONS
from stream.settings import Settings
from stream.worker.messages import Update
from stream.worker.streams import SLOTS


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


def test_who_wants_masks_at_this_moment(bench: Bench) -> None:
    """Jobs give way to it: a stream with an object that pictures come in for, and no other."""

    def now(index: int) -> Frame:
        return replace(frame(index), received=time.monotonic())

    bench.open("a")
    bench.supervisor.submit("a", now(0))
    assert not bench.supervisor.is_wanted
    bench.track("b")  # with a picture of long ago
    assert not bench.supervisor.is_wanted
    bench.supervisor.submit("b", now(1))
    assert bench.supervisor.is_wanted
    bench.supervisor.close("b")
    assert not bench.supervisor.is_wanted


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


async def test_the_servers_jobs_know_of_live_sessions() -> None:
    client = Client(Scene())
    app = create_app(Settings(job_rate=2), bright_supervisor())
    async with TestClient(TestServer(app)) as http:
        jobs = app[SUBMISSIONS].jobs
        await client.connect(http)  # type: ignore[arg-type]
        assert jobs._rate() is None
        await client.ask(type="point", x=80, y=60, positive=True)
        await eventually(lambda: jobs._rate() == 2)
        await client.close()
        await eventually(lambda: jobs._rate() is None)
