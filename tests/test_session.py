"""A session without network: pictures in, composited pictures out, whatever the tracker does."""

import asyncio
import threading
import time
from typing import Any

import av
import pytest
from rtc_client import eventually
from session_stage import TIME_BASE, Stage, is_near, middle_and_corner, picture, staged

from stream.compose.effects import Effect
from stream.errors import EffectError, LimitError, PromptError, UnknownObject
from stream.limits import MAX_AGE, MAX_COMMANDS
from stream.messages import (
    Accepted,
    AddPoint,
    Rejected,
    RemoveObject,
    Reset,
    SetEffect,
    State,
    Undo,
)
from stream.overload import Level


async def test_size_and_times_are_those_that_came_in(stage: Stage) -> None:
    for index, (width, height) in enumerate([(64, 48), (64, 48), (33, 71), (320, 240)]):
        frame = await stage.send_and_get(width=width, height=height)
        assert (frame.picture.width, frame.picture.height) == (width, height)
        assert frame.picture.pts == 1000 + index * 3000
        assert frame.picture.time_base == TIME_BASE
        assert frame.index == index


async def test_picture_never_waits_for_the_tracker(stage: Stage) -> None:
    await stage.ask(AddPoint(30, 20, True, None))
    stage.tracker.gate.clear()
    for _ in range(10):
        await stage.pass_through()
    assert stage.stats().drops["tracker"] > 0


async def test_slow_reader_gets_the_newest_and_drops_are_counted(stage: Stage) -> None:
    for count in range(1, 6):
        stage.send()
        output = stage.output
        await eventually(lambda output=output, n=count: len(output) and output.dropped == n - 1)
    assert (await stage.output.get()).index == 4
    stats = stage.stats()
    assert stats.drops == {"tracker": 0, "compose": 0, "egress": 4}
    assert (stats.width, stats.height) == (64, 48)
    assert stats.latency_ms is not None
    assert stats.mask_age_ms is None
    assert stats.fps_in > stats.fps_out > 0


async def test_slow_compositor_drops_old_pictures(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate = threading.Event(), threading.Event()
    compose = stage.session._compositor.compose

    def slow(*arguments: Any) -> av.VideoFrame:
        entered.set()
        assert gate.wait(10)
        return compose(*arguments)

    monkeypatch.setattr(stage.session._compositor, "compose", slow)
    stage.send()
    await eventually(entered.is_set)
    for _ in range(5):
        stage.send()
    gate.set()
    assert (await stage.output.get()).index == 0
    assert (await stage.output.get()).index == 5
    assert stage.stats().drops["compose"] == 4


async def test_what_would_be_too_old_is_not_composited_for_the_broadcast(stage: Stage) -> None:
    session = stage.session
    viewer = session.broadcast.join("H264")
    session.receive(picture(0), time.monotonic() - MAX_AGE - 0.1)
    assert (await stage.output.get()).index == 0, "who records gets it"
    await eventually(lambda: session.broadcast.drops.late == 1)
    session.unwatch(stage.output)
    session.receive(picture(1), time.monotonic() - MAX_AGE - 0.1)
    await eventually(lambda: session.broadcast.drops.late == 2)
    session.receive(picture(2), time.monotonic() - 0.01)
    assert (await viewer.get()).frame.index == 2
    session.broadcast.leave(viewer)


async def test_what_is_thinned_out_costs_no_compositing(stage: Stage) -> None:
    stage.session.broadcast.quality = Level(every=3)
    for _ in range(9):
        stage.send()
        await asyncio.sleep(0.05)
    assert stage.session.broadcast.drops.thinned == 6
    assert stage.session.received == 9
    assert stage.session._meter.composed <= 3
    stage.session.broadcast.quality = Level()
    await stage.pass_through()


async def test_requests_that_fail_change_nothing(stage: Stage) -> None:
    for request, error in [
        (AddPoint(900, 20, True, None), PromptError),
        (AddPoint(30, 20, True, 5), UnknownObject),
        (RemoveObject(5), UnknownObject),
        (SetEffect(Effect("picture", background="no such picture")), EffectError),
        (SetEffect(Effect("sparkle")), EffectError),
    ]:
        answer = await stage.ask(request)
        assert isinstance(answer, Rejected)
        assert isinstance(answer.error, error)
    assert isinstance(await stage.ask(Undo()), Rejected)
    assert await stage.ask(Reset()) == Accepted(7)
    middle, _ = middle_and_corner(await stage.pass_through())
    assert is_near(middle, (220, 220, 220))
    stage.session.tell_state()
    assert stage.told(State)[-1].effect == Effect()


async def test_queues_are_bounded(stage: Stage) -> None:
    for number in range(MAX_COMMANDS + 1):
        stage.session.request(number, AddPoint(30, 20, True, None))
        stage.session.request(1000 + number, SetEffect(Effect()))
    await asyncio.sleep(0)
    full = [event for event in stage.told(Rejected) if isinstance(event.error, LimitError)]
    assert {event.number for event in full} == {MAX_COMMANDS, 1000 + MAX_COMMANDS}


async def test_a_picture_that_cannot_be_composited_is_not_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[av.VideoFrame] = []

    def broken(picture: av.VideoFrame, *_: Any) -> av.VideoFrame:
        tried.append(picture)
        raise RuntimeError("no such plane")

    with monkeypatch.context() as patch:
        patch.setattr(stage.session._compositor, "compose", broken)
        for count in range(1, 4):
            stage.send()
            await eventually(lambda count=count: len(tried) == count)
    assert len(stage.output) == 0
    assert "no such plane" in caplog.text
    assert len(stage.told(Rejected)) == 1, "told once a second"
    await stage.pass_through()


async def test_huge_pictures_are_refused(stage: Stage) -> None:
    huge = av.VideoFrame(4098, 16, "yuv420p")
    stage.session.receive(huge)
    assert isinstance(stage.told(Rejected)[0].error, LimitError)
    frame = await stage.send_and_get()
    assert frame.index == 0


async def test_nothing_is_left_after_closing() -> None:
    before = asyncio.all_tasks()
    async with staged() as stage:
        await stage.ask(AddPoint(30, 20, True, None))
        await stage.session.close()
        stage.send()
        assert asyncio.all_tasks() == before
        assert not stage.supervisor._streams
