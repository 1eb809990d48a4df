"""A session without network: pictures in, composited pictures out, whatever the tracker does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from fake_tracker import BrightEngine, BrightTracker, bright_supervisor
from rtc_client import eventually

import stream.compose.privacy
import stream.session
from stream.compose.effects import Effect
from stream.errors import EffectError, LimitError, MediaError, PromptError, UnknownObject
from stream.frames import Frame
from stream.limits import MAX_AGE, MAX_COMMANDS, MAX_UPLOADS
from stream.messages import (
    Accepted,
    AddBox,
    AddPoint,
    AddText,
    Event,
    Rejected,
    RemoveObject,
    Request,
    Reset,
    SetEffect,
    State,
    Stats,
    Undo,
)
from stream.overload import Level
from stream.prompts import Text
from stream.session import Session
from stream.worker.supervisor import Supervisor

TIME_BASE = Fraction(1, 90_000)
GREEN = (0, 177, 64)


def picture(index: int = 0, width: int = 64, height: int = 48) -> av.VideoFrame:
    """A bright rectangle in the middle of a dark picture."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 220
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = 1000 + index * 3000, TIME_BASE
    return frame


class Stage:
    """A session, its tracker, and what it told."""

    def __init__(self, supervisor: Supervisor, pool: ThreadPoolExecutor) -> None:
        self.events: list[Event] = []
        self.session = Session("s", supervisor, pool, self._on_event)
        self.output = self.session.watch()
        self._news = asyncio.Event()
        self._index = 0
        self._number = 0

    async def pass_through(self, **shape: int) -> av.VideoFrame:
        """Send one picture and return what comes out for it."""
        return (await self.send_and_get(**shape)).picture

    async def send_and_get(self, **shape: int) -> Frame:
        sent = self.send(**shape)
        async with asyncio.timeout(10):
            while True:
                frame = await self.output.get()
                if frame.pts == sent.pts:
                    return frame

    def send(self, **shape: int) -> av.VideoFrame:
        sent = picture(self._index, **shape)
        self.session.receive(sent)
        self._index += 1
        return sent

    async def ask(self, request: Request) -> Event:
        """Send a request and pictures until the answer comes."""
        self._number += 1
        number = self._number
        self.session.request(number, request)
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    if isinstance(event, Accepted | Rejected) and event.number == number:
                        return event
                self.send()
                await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (result := condition()):
                self._news.clear()
                await self._news.wait()
        return result

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def stats(self) -> Stats:
        self.session.tell_stats()
        stats = self.told(Stats)[-1]
        assert isinstance(stats, Stats)
        return stats

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()


@pytest.fixture
def engine() -> BrightEngine:
    return BrightEngine()


@pytest.fixture
def trackers(engine: BrightEngine) -> list[BrightTracker]:
    return engine.trackers


@pytest.fixture
def supervisor(engine: BrightEngine) -> Iterator[Supervisor]:
    supervisor = bright_supervisor(engine)
    supervisor.start()
    yield supervisor
    for tracker in engine.trackers:
        tracker.gate.set()
    supervisor.stop()


@pytest.fixture
async def stage(supervisor: Supervisor) -> AsyncIterator[Stage]:
    pool = ThreadPoolExecutor(2)
    stage = Stage(supervisor, pool)
    stage.session.start()
    yield stage
    await stage.session.close()
    pool.shutdown()


def middle_and_corner(frame: av.VideoFrame) -> tuple[Any, Any]:
    pixels = frame.to_ndarray(format="rgb24").astype(int)
    return pixels[frame.height // 2, frame.width // 2], pixels[2, 2]


def is_near(pixel: Any, rgb: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel - np.array(rgb)).max() < 25)


async def test_size_and_times_are_those_that_came_in(stage: Stage) -> None:
    for index, (width, height) in enumerate([(64, 48), (64, 48), (33, 71), (320, 240)]):
        frame = await stage.send_and_get(width=width, height=height)
        assert (frame.picture.width, frame.picture.height) == (width, height)
        assert frame.picture.pts == 1000 + index * 3000
        assert frame.picture.time_base == TIME_BASE
        assert frame.index == index


async def test_a_click_tints_the_object_alone(stage: Stage) -> None:
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(1, 1)
    state = (await stage.until(lambda: stage.told(State)))[-1]
    assert [sighting.object_id for sighting in state.objects] == [1]
    assert state.objects[0].visible
    assert state.can_undo
    await asyncio.sleep(0.05)
    middle, corner = middle_and_corner(await stage.pass_through())
    assert not is_near(middle, (220, 220, 220)), "tinted"
    assert is_near(corner, (30, 30, 30))


async def test_picture_never_waits_for_the_tracker(
    stage: Stage, trackers: list[BrightTracker]
) -> None:
    await stage.ask(AddPoint(30, 20, True, None))
    trackers[0].gate.clear()
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
    gate = threading.Event()
    compose = stage.session._compositor.compose

    def slow(*arguments: Any) -> av.VideoFrame:
        assert gate.wait(10)
        return compose(*arguments)

    monkeypatch.setattr(stage.session._compositor, "compose", slow)
    stage.send()
    await asyncio.sleep(0.05)
    for _ in range(5):
        stage.send()
    gate.set()
    assert (await stage.output.get()).index == 0
    assert (await stage.output.get()).index == 5
    assert stage.stats().drops["compose"] == 4


async def test_removing_the_last_object_hides_all(stage: Stage) -> None:
    await stage.ask(AddBox(16, 12, 48, 36, None))
    assert await stage.ask(SetEffect(Effect("colour"))) == Accepted(2)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):  # what was hidden fades in
        while True:
            middle, corner = middle_and_corner(await stage.pass_through())
            assert is_near(corner, GREEN)
            if is_near(middle, (220, 220, 220)):
                break
    assert await stage.ask(RemoveObject(1)) == Accepted(3)
    await asyncio.sleep(0.05)
    middle, corner = middle_and_corner(await stage.pass_through())
    assert is_near(middle, GREEN)
    assert is_near(corner, GREEN)
    assert stage.told(State)[-1].objects == ()


async def test_stale_masks_hide_all_but_only_where_the_background_is_hidden(
    stage: Stage, trackers: list[BrightTracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ask(AddPoint(30, 20, True, None))
    await stage.ask(SetEffect(Effect("colour")))
    trackers[0].gate.clear()
    monkeypatch.setattr(stream.compose.privacy, "MASK_LATE", 0.2)
    await asyncio.sleep(0.3)
    middle, corner = middle_and_corner(await stage.pass_through())
    assert is_near(middle, GREEN)
    assert is_near(corner, GREEN)
    await stage.ask(SetEffect(Effect("overlay")))
    middle, _ = middle_and_corner(await stage.pass_through())
    assert not is_near(middle, (220, 220, 220)), "a tint that is late harms nobody"
    age = stage.stats().mask_age_ms
    assert age is not None
    assert age > 200


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


async def test_who_follows_is_told_the_effect_that_it_begins_with(stage: Stage) -> None:
    await stage.session.begin_with((Effect("pixelate"),))
    assert stage.told(State)[-1].effect == Effect("pixelate")


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


async def test_objects_get_new_numbers(stage: Stage) -> None:
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(1, 1)
    assert await stage.ask(AddPoint(31, 20, False, 1)) == Accepted(2, 1)
    assert await stage.ask(AddBox(16, 12, 48, 36, None)) == Accepted(3, 2)
    assert await stage.ask(Reset()) == Accepted(4)
    assert await stage.ask(AddPoint(30, 20, True, None)) == Accepted(5, 3)
    assert [sighting.object_id for sighting in stage.told(State)[-1].objects] == [3]


async def test_queues_are_bounded(stage: Stage) -> None:
    for number in range(MAX_COMMANDS + 1):
        stage.session.request(number, AddPoint(30, 20, True, None))
        stage.session.request(1000 + number, SetEffect(Effect()))
    await asyncio.sleep(0)
    full = [event for event in stage.told(Rejected) if isinstance(event.error, LimitError)]
    assert {event.number for event in full} == {MAX_COMMANDS, 1000 + MAX_COMMANDS}


async def test_the_newest_uploads_are_kept(stage: Stage) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 2] = 200
    png = cv2.imencode(".png", red)[1].tobytes()
    names = [await stage.session.add_background(png) for _ in range(MAX_UPLOADS + 1)]
    assert stage.session.background_names()[-MAX_UPLOADS:] == tuple(names[1:])
    gone = await stage.ask(SetEffect(Effect("picture", background=names[0])))
    assert isinstance(gone, Rejected)
    assert isinstance(gone.error, EffectError)
    kept = await stage.ask(SetEffect(Effect("picture", background=names[-1])))
    assert isinstance(kept, Accepted)
    await asyncio.sleep(0.05)
    _, corner = middle_and_corner(await stage.pass_through())
    assert is_near(corner, (200, 0, 0))
    with pytest.raises(MediaError):
        await stage.session.add_background(b"no picture")
    large = cv2.imencode(".png", np.zeros((10, 4000, 3), np.uint8))[1].tobytes()
    name = await stage.session.add_background(large)
    assert stage.session._uploads.kept[name].shape == (5, 1920, 3)


async def test_a_picture_that_cannot_be_composited_is_not_shown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> av.VideoFrame:
        raise RuntimeError("no such plane")

    with monkeypatch.context() as patch:
        patch.setattr(stage.session._compositor, "compose", broken)
        for _ in range(3):
            stage.send()
            await asyncio.sleep(0.03)
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


async def test_nothing_is_left_after_closing(supervisor: Supervisor) -> None:
    before = asyncio.all_tasks()
    with ThreadPoolExecutor(1) as pool:
        stage = Stage(supervisor, pool)
        stage.session.start()
        await stage.ask(AddPoint(30, 20, True, None))
        await stage.session.close()
        stage.send()
    assert asyncio.all_tasks() == before
    assert not supervisor._streams


async def test_a_word_starts_an_object_with_its_usual_name(
    stage: Stage, engine: BrightEngine
) -> None:
    stage.session._tracker.words = ("cat", "person")
    answer = await stage.ask(AddText("the people"))
    assert answer == Accepted(1, 1)
    assert engine.trackers[-1].prompts == [Text(1, "person")]
    await stage.until(lambda: stage.told(State) and stage.told(State)[-1].objects)
    assert stage.told(State)[-1].names == {1: "person"}
    answer = await stage.ask(AddText("zeppelin"))
    assert isinstance(answer, Rejected)
    assert "cat, person" in str(answer.error)


async def test_any_phrase_will_do_where_there_is_a_detector(
    stage: Stage, engine: BrightEngine
) -> None:
    stage.session._tracker.words, stage.session._tracker.phrases = ("cat",), True
    assert await stage.ask(AddText("Kitten")) == Accepted(1, 1)
    assert await stage.ask(AddText("The red  ball.")) == Accepted(2, 2)
    assert engine.trackers[-1].prompts == [Text(1, "cat"), Text(2, "the red ball")]
    await stage.until(lambda: stage.told(State) and len(stage.told(State)[-1].objects) == 2)
    assert stage.told(State)[-1].names == {1: "cat", 2: "the red ball"}
    answer = await stage.ask(AddText("..."))
    assert isinstance(answer, Rejected)


@pytest.mark.parametrize("effect", ["blur", "colour"])
async def test_who_hides_the_background_is_found_without_a_click(
    stage: Stage, engine: BrightEngine, effect: str
) -> None:
    stage.session._tracker.words = ("person",)
    await stage.ask(SetEffect(Effect("overlay")))
    assert not engine.trackers
    await stage.ask(SetEffect(Effect(effect)))
    await stage.ask(Reset())
    assert stage.told(State)[-1].names == {1: "person"}


async def test_who_has_pointed_means_nobody_else(stage: Stage, engine: BrightEngine) -> None:
    stage.session._tracker.words = ("person",)
    await stage.ask(AddPoint(30, 20, True, None))
    await stage.ask(Reset())
    await stage.ask(SetEffect(Effect("colour")))
    assert [prompt for prompt in engine.trackers[-1].prompts if isinstance(prompt, Text)] == []


async def test_without_the_word_the_whole_picture_stays_hidden(stage: Stage) -> None:
    await stage.ask(SetEffect(Effect("colour")))
    assert not [event for event in stage.told(Rejected) if event.number is None]
    assert stage.told(State)[-1].names == {}


async def test_names_do_not_pile_up(stage: Stage) -> None:
    stage.session._tracker.words = ("person",)
    for number in range(stream.session.MAX_NAMES + 5):
        stage.session.request(number, AddText("person"))
    assert len(stage.session._names) <= stream.session.MAX_NAMES
