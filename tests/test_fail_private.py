"""The room is never seen, whatever the tracker does: every picture that comes out is looked at.

The room is drawn in stripes whose contrast no hidden picture can have; what is asked of each
picture is that the stripes beside the object are not in it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from fake_tracker import BrightEngine, bright_supervisor

import stream.compose.privacy
from stream.compose.compositor import Compositor
from stream.compose.effects import Effect
from stream.compose.planes import Planes
from stream.frames import Masks
from stream.messages import AddPoint, SetEffect
from stream.session import Session

WIDTH, HEIGHT = 320, 240
BACKGROUND = ("blur", "colour", "cutout")


def room(number, scene=0):
    """Dark stripes of 6 pixels, and a bright square that moves."""
    pixels = np.full((HEIGHT, WIDTH), 20, np.uint8)
    pixels[:, (np.arange(WIDTH) + 3 * scene) // 6 % 2 == 0] = 90
    if scene:  # another room: the stripes lie the other way
        pixels = np.full((HEIGHT, WIDTH), 20, np.uint8)
        pixels[np.arange(HEIGHT) // 6 % 2 == 0] = 90
    left = 100 + number % 20 * 2
    pixels[80:180, left : left + 100] = 220
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    y, u, v = Planes.of(picture)
    y[...], u[...], v[...] = pixels, 128, 128
    picture.pts, picture.time_base = number, Fraction(1, 30)
    return picture


def stripes(picture):
    """Contrast between neighbours at the picture's left, right and upper sides, luma codes."""
    y = Planes.of(picture).y.astype(int)
    parts = (y[:, :70], y[:, 270:], y[:50])
    return max(
        max(np.abs(np.diff(part, axis=0)).max(), np.abs(np.diff(part, axis=1)).max())
        for part in parts
    )


HIDDEN = 12
"""The stripes' contrast is 70; what is left of it by a blur is below."""

BLOCKS = 20
"""What the edges of pixelated blocks may have of it: a block does not hold whole stripes."""


def test_the_stripes_are_seen_when_nothing_hides_them():
    assert stripes(room(0)) == 70


@pytest.mark.parametrize("name", BACKGROUND)
@pytest.mark.parametrize("trouble", ["stalled", "killed"])
async def test_tracker_that_stops_never_shows_the_room(name, trouble, monkeypatch):
    monkeypatch.setattr(stream.compose.privacy, "MASK_LATE", 0.3)
    engine = BrightEngine()
    supervisor = bright_supervisor(engine)
    supervisor.start()
    seen, number, with_object = [], 0, 0
    with ThreadPoolExecutor(2) as pool:
        session = Session("s", supervisor, pool, lambda event: None)
        frames = session.watch()
        session.start()
        session.request(1, SetEffect(Effect(name)))
        await asyncio.sleep(0.1)
        session.request(2, AddPoint(150, 130, True, None))
        hidden_at_last = False
        try:
            for number in range(90):
                session.receive(room(number))
                async with asyncio.timeout(10):
                    frame = await frames.get()
                picture = frame.picture
                seen.append(stripes(picture))
                y = Planes.of(picture).y.astype(int)
                has_edges = bool(np.abs(np.diff(y, axis=1)).max() > 60)  # those of the square
                with_object += has_edges
                hidden_at_last = not has_edges
                if number == 40:
                    assert with_object, "the object was to be seen before the trouble"
                    if trouble == "stalled":
                        engine.trackers[0].gate.clear()
                    else:
                        for tracker in engine.trackers:
                            tracker.fail = RuntimeError("killed")
                await asyncio.sleep(0.02)
        finally:
            for tracker in engine.trackers:
                tracker.gate.set()
            await session.close()
            supervisor.stop()
    assert max(seen) <= HIDDEN
    assert hidden_at_last, "late beyond the limit, the whole picture is hidden"


def late_masks(number, found=True):
    """Of the square on the picture `number`, 64 x 64 cells."""
    rows, columns = np.mgrid[:64, :64]
    x, y = (columns + 0.5) * WIDTH / 64, (rows + 0.5) * HEIGHT / 64
    left = 100 + number % 20 * 2
    inside = (x > left) & (x < left + 100) & (y > 80) & (y < 180)
    logits = np.where(inside & found, 10, -10 if found else -1024).astype(np.float32)[None]
    ones = np.ones(1, np.float32)
    return Masks((1,), logits, 5 * ones, ones, number)


@pytest.mark.parametrize("name", BACKGROUND)
@pytest.mark.parametrize("cut", [10, 13, 19])
def test_a_cut_under_an_old_mask_never_shows_the_new_room(name, cut):
    compositor = Compositor()
    compositor.set_effect(Effect(name))
    for number in range(30):
        picture = room(number, scene=int(number >= cut))
        of = max(0, number - 4)
        result = compositor.compose(picture, late_masks(of), number, 4 / 30)
        assert stripes(result) <= HIDDEN
        if cut <= number < cut + 4:
            edges = np.abs(np.diff(Planes.of(result).y.astype(int), axis=1)).max()
            assert edges < 30, "masks are of the scene before"


def turned(picture):
    """By a quarter, as a telephone's pictures are that is turned."""
    result = av.VideoFrame(HEIGHT, WIDTH, "yuv420p")
    for plane, other in zip(Planes.of(result), Planes.of(picture), strict=True):
        plane[...] = np.rot90(other)
    result.pts, result.time_base = picture.pts, picture.time_base
    return result


@pytest.mark.parametrize("name", [*BACKGROUND, "picture"])
def test_a_turn_under_an_old_mask_shows_nothing_until_there_is_a_mask_of_the_turned(name):
    compositor = Compositor()
    compositor.set_effect(Effect(name), np.zeros((8, 8, 3), np.uint8))
    for number in range(20):
        picture = turned(room(number)) if number >= 10 else room(number)
        of = max(0, number - 4)
        result = compositor.compose(picture, late_masks(of), number, 4 / 30)
        if 10 <= number < 14:
            y = Planes.of(result).y.astype(int)
            assert max(np.abs(np.diff(y, axis=axis)).max() for axis in (0, 1)) <= HIDDEN
        elif number < 10:
            assert stripes(result) <= HIDDEN


@pytest.mark.parametrize("name", BACKGROUND)
@pytest.mark.parametrize(("gain", "offset"), [(0.4, 0), (1.0, 35), (1.15, 0)])
def test_a_flash_shows_neither_the_room_nor_hides_the_object(name, gain, offset):
    compositor = Compositor()
    compositor.set_effect(Effect(name))
    for number in range(30):
        picture = room(number)
        y = Planes.of(picture).y
        if number % 10 in (5, 6):
            y[...] = cv2.convertScaleAbs(y, alpha=gain, beta=offset)
        square = y[100:160, 150:180].copy()  # within it on every picture
        result = compositor.compose(picture, late_masks(max(0, number - 3)), number, 0.1)
        assert stripes(result) <= HIDDEN
        assert np.array_equal(Planes.of(result).y[100:160, 150:180], square)


@pytest.mark.parametrize("target", ["pixelate", "erase", "blur", "colour"])
def test_an_object_that_is_lost_is_never_seen(target):
    """The square carries letters; they are hidden while it is tracked, lost, and found again."""
    compositor = Compositor()
    compositor.set_effect(Effect(target, target="object"))
    for number in range(60):
        picture = room(number)
        left = 100 + number % 20 * 2
        Planes.of(picture).y[90:170, left + 10 : left + 90 : 4] = 30  # fine stripes on the square
        lost = 20 <= number < 35
        masks = None if 27 <= number < 30 else late_masks(number, found=not lost)
        result = compositor.compose(picture, masks, number, 0.0)
        inner = Planes.of(result).y[95:165, left + 14 : left + 86].astype(int)
        contrast = np.abs(np.diff(inner, axis=1)).max()
        if target == "erase":
            assert contrast <= 72, "the room's, no more"
            assert number >= 20 or inner.max() <= 100, "what is behind the square is dark"
        else:
            assert contrast <= 40, "a fifth of theirs"
        if lost:
            assert stripes(result) <= BLOCKS, "all is hidden, the rest too"
        if number < 20 and target != "erase":
            assert stripes(result) == 70, "the rest stays as it is"


def test_pictures_without_any_object_are_hidden_whole():
    for name in ("pixelate", "erase", *BACKGROUND):
        compositor = Compositor()
        compositor.set_effect(Effect(name))
        assert stripes(compositor.compose(room(0), None)) <= BLOCKS


SKIN = cv2.resize(np.random.default_rng(3).integers(150, 240, (13, 10), np.uint8), (80, 100))

GENEROUS, TRAIL = 3, 34
"""Pixels around the square that a mask takes in, and off it where nothing may show though the mask
may still be believed. Were it believed until it is late, the trail would be over 50."""


@pytest.mark.parametrize("name", ["colour", "cutout", "picture"])
def test_what_moves_away_under_an_old_mask_leaves_no_trail_of_the_room(name):
    compositor = Compositor()
    compositor.set_effect(Effect(name), np.zeros((8, 8, 3), np.uint8))
    rows, columns = np.mgrid[:64, :64]
    x, y = (columns + 0.5) * WIDTH / 64, (rows + 0.5) * HEIGHT / 64
    ones = np.ones(1, np.float32)
    for number in range(60):
        of = max(0, number - 3) if number < 30 else 27
        at = 60 + 2 * of
        inside = (np.abs(x - at - 40) < 40 + GENEROUS) & (np.abs(y - 130) < 50 + GENEROUS)
        masks = Masks((1,), np.where(inside, 10, -10).astype(np.float32)[None], ones, ones, of)
        picture = room(0)
        pixels, at = Planes.of(picture).y, 60 + 2 * number
        pixels[80:180] = pixels[:1]  # the room alone
        pixels[80:180, at : at + 80] = SKIN
        hidden = Planes.of(compositor.compose(picture, masks, number, (number - of) / 30)).y
        code = int(hidden[0, 0])
        far = np.ones((HEIGHT, WIDTH), bool)
        far[80 - TRAIL : 180 + TRAIL, at - TRAIL : at + 80 + TRAIL] = False
        assert (hidden[far] == code).all(), f"the room is seen on picture {number}"
        square = hidden[100:160, at + 20 : at + 60]
        assert (square.std() > 5) == (number < 43), "from 0.5 s on all is hidden"


def wide_masks(number, share):
    """That say the object covers the left `share` of the picture."""
    logits = np.full((1, 64, 64), -10, np.float32)
    logits[..., : round(64 * share)] = 10
    return Masks((1,), logits, np.full(1, 5, np.float32), np.ones(1, np.float32), number)


def test_a_mask_in_doubt_is_no_better_believed_by_effects_that_name_the_object():
    """A mask has run out into the room; then somebody ticks that very object."""
    compositor = Compositor()
    compositor.set_effect(Effect("colour"))
    for number in range(12):
        compositor.compose(room(number), late_masks(number), number, 0.0)
    for number in (12, 13):
        compositor.set_effect(Effect("colour", objects=(1,) if number == 13 else None))
        result = compositor.compose(room(number), wide_masks(number, 1.0), number, 0.0)
        assert stripes(result) <= HIDDEN


def test_an_object_in_doubt_is_no_better_believed_by_effects_that_name_it():
    """A mask has shrunk to a corner of the object; then somebody ticks that very object."""
    compositor = Compositor()
    compositor.set_effect(Effect("colour", target="object"))
    for number in range(12):
        compositor.compose(room(number), wide_masks(number, 0.9), number, 0.0)
    for number in (12, 13):
        ticked = (1,) if number == 13 else None
        compositor.set_effect(Effect("colour", target="object", objects=ticked))
        result = compositor.compose(room(number), wide_masks(number, 0.1), number, 0.0)
        assert stripes(result) <= HIDDEN
