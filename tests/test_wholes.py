"""One click on somebody in a real picture, with the embedded model."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.frames import Frame, Image
from stream.prompts import Point, Prompt, Text
from stream.track import catalog
from stream.track.tracker import Tracker

WEBCAM = Path(__file__).parents[2] / "shared" / "data" / "video" / "webcam" / "brother.mkv"
SWEATER, FACE = (0.45, 0.92), (0.49, 0.2)


@pytest.fixture(scope="module")
def picture() -> Image:
    with av.open(str(WEBCAM)) as container:
        seen = next(container.decode(video=0))
    return Frame(seen, 0, 0, Fraction(1, 30)).image(384)


@pytest.fixture(scope="module")
def person(picture: Image) -> NDArray[np.bool_]:
    return found(Tracker(catalog.load()), picture, Text(1, "person"))


def found(tracker: Tracker, picture: Image, prompt: Prompt) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = tracker.step(picture, [prompt]).logits[0] > 0
    return mask


def click(picture: Image, place: tuple[float, float]) -> Point:
    return Point(1, place[0] * picture.width, place[1] * picture.height)


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


def test_a_click_on_a_sweater_means_who_wears_it(picture: Image, person: NDArray[np.bool_]) -> None:
    assert iou(found(Tracker(catalog.load()), picture, click(picture, SWEATER)), person) > 0.98


def test_what_is_small_is_meant_for_itself(picture: Image, person: NDArray[np.bool_]) -> None:
    face = found(Tracker(catalog.load()), picture, click(picture, FACE))
    assert face.any()
    assert np.count_nonzero(face) < 0.5 * np.count_nonzero(person)


def test_the_official_way_takes_a_click_as_it_is(picture: Image, person: NDArray[np.bool_]) -> None:
    tracker = Tracker(catalog.load(), compat="official")
    assert iou(found(tracker, picture, click(picture, SWEATER)), person) < 0.9


def test_a_click_that_excludes_takes_a_part_away(picture: Image, person: NDArray[np.bool_]) -> None:
    tracker = Tracker(catalog.load())
    whole = found(tracker, picture, click(picture, SWEATER))
    x, y = FACE
    tracker.prompt([Point(1, x * picture.width, y * picture.height, positive=False)])
    rest = tracker.masks().logits[0] > 0
    side = len(rest)
    assert whole[int(y * side), int(x * side)]
    assert not rest[int(y * side), int(x * side)]
