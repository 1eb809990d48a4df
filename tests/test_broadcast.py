"""One stream, many viewers: encoded once, and nobody pays for another."""

import asyncio
import time
from dataclasses import replace
from fractions import Fraction

import pytest
from moving_pictures import moving_frame
from rtc_client import eventually

from stream.egress import bitrate, broadcast
from stream.egress.bitrate import FLOOR, HEADROOM, RAMP, START, Budget, shared
from stream.egress.broadcast import Broadcast, Timeline
from stream.egress.encoder import Encoded
from stream.egress.viewer import Sent, Viewer
from stream.frames import Frame
from stream.limits import MAX_AGE, MAX_VIEWER_PICTURES
from stream.mailbox import Mailbox, MailboxClosedError
from stream.overload import FADE


def sent(keyframe: bool, size: int = 1000) -> Sent:
    return Sent(Encoded(bytes(size), keyframe, (320, 240)), 0, moving_frame(0, 32, 16))


@pytest.mark.parametrize(
    ("estimates", "wanted"),
    [
        ([], START),
        ([1_000_000], 1_000_000 * HEADROOM),
        ([4_000_000, 1_500_000, 2_000_000], 1_500_000 * HEADROOM),
        ([4_000_000, 900_000], 4_000_000 * HEADROOM),  # out of reach of the best
        ([10_000, 20_000], FLOOR),
        ([500_000, 100_000], 500_000 * HEADROOM),
        ([50_000_000], 6_000_000),
    ],
)
def test_the_lowest_estimate_within_reach_counts(estimates: list[int], wanted: float) -> None:
    assert shared(estimates, 6_000_000) == int(wanted)


def test_a_budget_lets_pass_what_the_network_carries() -> None:
    budget, passed = Budget(), 0
    for at in range(300):
        if budget.fill(400_000, at / 30) > 0:
            budget.spend(5_000)
            passed += 5_000 * 8
    assert passed / 10 == pytest.approx(400_000, rel=0.1)


def test_a_viewer_begins_with_a_keyframe_and_a_full_queue_goes_on_with_one() -> None:
    asked: list[None] = []
    viewer = Viewer("H264", lambda: asked.append(None))
    assert len(asked) == 1
    viewer.offer(sent(False), START, 0.0)
    assert viewer.dropped == 1
    viewer.offer(sent(True), bitrate.FLOOR, 0.1)
    for _ in range(MAX_VIEWER_PICTURES - 1):
        viewer.offer(sent(False), bitrate.FLOOR, 0.2)
    assert viewer.dropped == 1
    asked.clear()
    for count in range(1, 4):
        viewer.offer(sent(False), bitrate.FLOOR, 0.3)
        assert viewer.dropped == 1 + MAX_VIEWER_PICTURES + count
        assert len(asked) == count
    viewer.offer(sent(True), bitrate.FLOOR, 0.4)
    assert viewer.sent == MAX_VIEWER_PICTURES + 1


async def test_a_viewer_who_is_too_slow_gets_what_its_network_carries() -> None:
    asked = [True]
    viewer = Viewer("H264", lambda: asked.append(True), joined=-RAMP)
    viewer.estimate = 200_000
    size = passed = shown = 0
    for at in range(600):
        keyframe = at % 30 == 0 and bool(asked)
        if keyframe:
            asked.clear()
        size = 20_000 if keyframe else 8_000
        before = viewer.sent
        viewer.offer(sent(keyframe, size), 2_000_000, at / 30)
        if viewer.sent > before:
            passed, shown = passed + size * 8, shown + 1
            await viewer.get()
    assert passed / 20 == pytest.approx(200_000, rel=0.3)
    assert 10 < shown < 200
    assert viewer.dropped == 600 - shown


async def test_who_guesses_slows_the_stream_but_makes_nobody_too_slow_for_it() -> None:
    broadcast = Watched().broadcast
    target = broadcast.join("H264", guesses=True)
    target.estimate = 6_000_000
    assert broadcast.target.bitrate == 4_000_000, "the cap: nobody else watches"
    browser = broadcast.join("H264")
    browser._joined -= RAMP
    browser.told(1_000_000)
    assert broadcast.target.bitrate == 900_000, "though it is less than a quarter of 6 Mbit/s"
    target.estimate = 500_000
    assert broadcast.target.bitrate == 450_000
    target.estimate = 200_000
    assert broadcast.target.bitrate == 900_000, "it loses pictures instead"
    await broadcast.close()


async def test_who_joins_lowers_nobodys_bitrate_while_its_estimate_rises() -> None:
    broadcast = Watched().broadcast
    first = broadcast.join("H264")
    assert broadcast.target.bitrate == START * HEADROOM
    first.told(4_200_000)
    assert broadcast.target.bitrate == int(4_200_000 * HEADROOM), "there is nobody else to go by"
    first._joined -= RAMP
    second = broadcast.join("H264")
    for estimate in (START, 800_000, 1_500_000):
        second.told(estimate)
        assert broadcast.target.bitrate == int(4_200_000 * HEADROOM)
    second.offer(sent(True), broadcast.target.bitrate)
    for _ in range(3):
        second.offer(sent(False, 50_000), broadcast.target.bitrate)
    assert second.dropped == 0, "its estimate rises with what it gets"
    second._joined -= RAMP
    assert broadcast.target.bitrate == int(1_500_000 * HEADROOM)
    await broadcast.close()


async def test_who_tells_no_estimate_is_judged_by_what_it_loses() -> None:
    broadcast = Watched().broadcast
    browser = broadcast.join("H264")
    browser.told(4_200_000)
    silent = broadcast.join("H264")
    for viewer in (browser, silent):
        viewer._joined -= RAMP
    full = broadcast.target.bitrate

    def reports(lost: float, count: int) -> int:
        for _ in range(count):
            silent.lost(lost, broadcast.target.bitrate, broadcast.cap)
        return broadcast.target.bitrate

    assert reports(0.0, 1) > full, "it does not hold others at the first guess"
    full = int(4_200_000 * HEADROOM)
    assert reports(0.0, 100) == full
    assert silent.estimate <= broadcast.cap / HEADROOM + 1
    assert reports(0.05, 100) == full, "a little is lost by wireless networks anyway"
    assert full / 2 < reports(0.3, 3) < full * 0.8
    assert reports(0.3, 30) == full, "who carries next to nothing is out of reach"
    assert silent.estimate < full / 4
    silent.told(2_000_000)
    assert reports(0.5, 10) == 2_000_000 * HEADROOM, "what it says itself counts from then on"
    await broadcast.close()


async def test_what_has_waited_too_long_is_not_sent() -> None:
    asked: list[None] = []
    viewer = Viewer("H264", lambda: asked.append(None))
    old, new = sent(True), sent(False)
    old = replace(old, frame=replace(old.frame, received=time.monotonic() - MAX_AGE - 0.1))
    viewer.offer(old, FLOOR)
    assert await viewer.get() is old, "nothing newer is there"
    asked.clear()
    for each in (old, new):
        viewer.offer(each, FLOOR)
    waiting = asyncio.create_task(viewer.get())
    await asyncio.sleep(0)
    assert (viewer.dropped, len(asked)) == (2, 1)
    viewer.offer(sent(False), FLOOR)
    assert viewer.dropped == 3, "it goes on with a keyframe"
    keyframe = sent(True)
    viewer.offer(keyframe, FLOOR)
    async with asyncio.timeout(5):
        assert await waiting is keyframe


def test_times_always_grow() -> None:
    timeline, frame = Timeline(), moving_frame(0, 32, 16)
    placed = [
        timeline.place(replace(frame, pts=pts, time_base=base))
        for pts, base in [
            (5000, Fraction(1, 90_000)),
            (8000, Fraction(1, 90_000)),
            (8000, Fraction(1, 90_000)),
            (0, Fraction(1, 1000)),
            (33, Fraction(1, 1000)),
        ]
    ]
    assert placed == [5000, 8000, 11_000, 14_000, 16_970]


class Watched:
    """A broadcast of moving pictures."""

    def __init__(self) -> None:
        self.frames: Mailbox[Frame] = Mailbox()
        self.broadcast = Broadcast(self.frames, 4_000_000)
        self.index = 0
        self.taken: dict[Viewer, list[Sent]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def watch(self, codec: str) -> Viewer:
        viewer = self.broadcast.join(codec)
        self.taken[viewer] = []
        self.tasks.append(asyncio.create_task(self._take(viewer)))
        return viewer

    async def _take(self, viewer: Viewer) -> None:
        while True:
            try:
                self.taken[viewer].append(await viewer.get())
            except MailboxClosedError:
                return

    async def show(self, count: int = 1, late: float = 0.0) -> None:
        """Pictures, each after the last has been encoded."""
        for _ in range(count):
            frame = moving_frame(self.index, 160, 120)
            self.frames.put(replace(frame, received=time.monotonic() - late))
            self.index += 1
            await eventually(lambda: self._done == self.index)
            for _ in range(3):
                await asyncio.sleep(0)

    @property
    def _done(self) -> int:
        drops = self.broadcast.drops
        handled = self.broadcast.encoded + drops.late
        return handled if len(self.broadcast) else self.index - len(self.frames)

    def shown(self, viewer: Viewer) -> list[int]:
        return [each.frame.index for each in self.taken[viewer]]

    def keyframes(self, viewer: Viewer) -> list[int]:
        return [each.frame.index for each in self.taken[viewer] if each.encoded.keyframe]


async def test_one_encoding_serves_all_and_joining_costs_one_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broadcast, "KEYFRAME_INTERVAL", 0.4)
    watched = Watched()
    watched.broadcast.start()
    watched.frames.put(moving_frame(0))
    await eventually(lambda: not len(watched.frames))
    assert watched.broadcast.encoded == 0, "nothing is encoded for nobody"
    first = watched.watch("H264")
    await watched.show(5)
    assert watched.shown(first) == [0, 1, 2, 3, 4]
    assert watched.keyframes(first) == [0]
    await asyncio.sleep(0.4)
    second, third = watched.watch("H264"), watched.watch("VP8")
    await watched.show(3)
    assert watched.shown(second) == watched.shown(third) == [5, 6, 7]
    assert watched.taken[first][-3:] == watched.taken[second], "the very same packets"
    assert watched.keyframes(first)[1:] == [5]
    for _ in range(20):  # a viewer that asks all the time
        second.want_keyframe()
        await watched.show()
        await asyncio.sleep(0.03)
    passed = [watched.taken[first][0].frame.received, watched.taken[first][-1].frame.received]
    keys = len(watched.keyframes(first))
    assert 3 <= keys <= 2 + (passed[1] - passed[0]) / 0.4
    assert watched.shown(first) == list(range(watched.index)), "the others lose nothing"
    watched.broadcast.leave(third)
    assert list(watched.broadcast._codecs) == ["H264"]
    await watched.broadcast.close()
    await asyncio.gather(*watched.tasks)


async def test_a_viewer_that_stands_still_delays_nobody() -> None:
    watched = Watched()
    watched.broadcast.start()
    still = watched.broadcast.join("H264")
    moving = watched.watch("H264")
    await watched.show(30)
    assert watched.shown(moving) == list(range(30))
    assert still.dropped >= 30 - 2 * MAX_VIEWER_PICTURES
    assert len(still._queue) <= MAX_VIEWER_PICTURES
    await watched.broadcast.close()


async def test_old_pictures_are_not_sent() -> None:
    watched = Watched()
    watched.broadcast.start()
    viewer = watched.watch("H264")
    await watched.show(2)
    await watched.show(2, late=MAX_AGE + 0.1)
    await watched.show(1)
    assert watched.shown(viewer) == [0, 1, 4]
    assert watched.broadcast.drops.late == 2
    await watched.broadcast.close()


async def test_a_picture_that_would_be_too_old_when_it_is_encoded_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    watched.broadcast.start()
    viewer = watched.watch("H264")
    await watched.show(1)
    watched.broadcast.encoding.seconds = 0.2
    await watched.show(1, late=MAX_AGE - 0.1)
    assert watched.broadcast.drops.late == 1
    assert watched.broadcast.encoding.seconds == pytest.approx(0.2 * FADE)
    watched.broadcast.encoding.took(10.0)
    await watched.show(30)
    assert watched.broadcast.encoded > 5, "it is tried again, for the time may have been wrong"
    assert watched.shown(viewer)[0] == 0
    await watched.broadcast.close()


async def test_a_keyframe_or_a_new_encoder_is_expected_to_take_twice_as_long() -> None:
    watched = Watched()
    watched.broadcast.start()
    viewer, picture = watched.watch("H264"), moving_frame(0, 160, 120).picture
    await watched.show(2)
    watched.broadcast.encoding.seconds = 0.1
    viewer.sending.seconds = 0.01
    assert watched.broadcast.expected(picture) == pytest.approx(0.11)
    small = moving_frame(0, 80, 60).picture
    assert watched.broadcast.expected(small) == pytest.approx(0.21), "of another size"
    watched.broadcast.quality = replace(watched.broadcast.quality, fast=True)
    assert watched.broadcast.expected(picture) == pytest.approx(0.21), "another preset"
    watched.broadcast.quality = replace(watched.broadcast.quality, fast=False)
    viewer.want_keyframe()
    assert watched.broadcast.expected(picture) == pytest.approx(0.11), "not yet"
    watched.broadcast._codecs["H264"].keyframe_at = float("-inf")
    assert watched.broadcast.expected(picture) == pytest.approx(0.21)
    await watched.show(1, late=MAX_AGE - 0.15)
    assert watched.broadcast.drops.late == 1, "it would be too old"
    await watched.broadcast.close()


async def test_a_picture_that_cannot_be_encoded_stops_nothing() -> None:
    watched = Watched()
    watched.broadcast.start()
    viewer = watched.watch("VP8")
    await watched.show(2)

    class Broken:
        def encode(self, *_: object) -> None:
            raise ValueError("broken")

        def goes_on(self, *_: object) -> bool:
            return True

    watched.broadcast._codecs["VP8"].encoder = Broken()  # type: ignore[assignment]
    watched.broadcast._codecs["VP8"].keyframe_at = float("-inf")
    await watched.show(3)
    assert watched.shown(viewer) == [0, 1, 3, 4]
    assert watched.keyframes(viewer) == [0, 3]
    assert watched.broadcast.drops.failed == 1
    await watched.broadcast.close()
