from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream import cues, limits
from stream.cues import Cue, Schedule
from stream.errors import LimitError, MediaError, PromptError
from stream.prompts import Box, MaskPrompt, Point


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("320,240", Cue(Fraction(0), Point(1, 320, 240))),
        ("2:320,240", Cue(Fraction(0), Point(2, 320, 240))),
        ("3:1.5,0.25@2.5", Cue(Fraction(5, 2), Point(3, 1.5, 0.25))),
        ("1,2@1:02.5", Cue(Fraction("62.5"), Point(1, 1, 2))),
        ("1,2@1:00:02", Cue(Fraction(3602), Point(1, 1, 2))),
        ("1,2@90", Cue(Fraction(90), Point(1, 1, 2))),
        (" 1 , 2 ", Cue(Fraction(0), Point(1, 1, 2))),
        ("-3,4", Cue(Fraction(0), Point(1, -3, 4))),
    ],
)
def test_points(text, cue):
    assert cues.point(text) == cue


def test_a_negative_point():
    assert cues.point("2:5,6@1", positive=False) == Cue(Fraction(1), Point(2, 5, 6, False))


def test_boxes():
    assert cues.box("10,20,30,40") == Cue(Fraction(0), Box(1, 10, 20, 30, 40))
    assert cues.box("7:10,20,30,40.5@0:12") == Cue(Fraction(12), Box(7, 10, 20, 30, 40.5))


@pytest.mark.parametrize(
    "text",
    ["", "1", "1,2,3", "a,b", "1,nan", "1,inf", "1e5,2", "1;2", ":1,2", "x:1,2", "-1:1,2", "1,2@",
     "1,2@-1", "1,2@soon", "1,2@1:2:3:4", "1,2@1.", "9" * 20 + ",1", "٣,٤", "0:1,2"],
)  # fmt: skip
def test_points_that_are_not_understood(text):
    with pytest.raises(PromptError, match=r"understood|number"):
        cues.point(text)


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4,5", "1,2,3,x"])
def test_boxes_that_are_not_understood(text):
    with pytest.raises(PromptError, match="X0,Y0,X1,Y1"):
        cues.box(text)


@pytest.fixture
def picture(tmp_path):
    def write(array, name="mask.png"):
        cv2.imwrite(str(tmp_path / name), array)
        return tmp_path / name

    return write


@pytest.mark.parametrize("white", [1, 128, 255])
def test_masks(picture, white):
    array = np.zeros((20, 30), np.uint8)
    array[5:10, 6:12] = white
    cue = cues.mask(f"4:{picture(array)}@0.5")
    assert isinstance(cue.prompt, MaskPrompt)
    assert (cue.time, cue.prompt.object_id) == (Fraction(1, 2), 4)
    np.testing.assert_array_equal(cue.prompt.mask, array > 0)


def test_a_coloured_mask_with_soft_edges(picture):
    array = np.zeros((20, 30, 3), np.uint8)
    array[5:10, 6:12, 2] = 200
    array[5:10, 12, 2] = 60
    cue = cues.mask(str(picture(array, "a name@home.png")))
    assert cue.prompt.mask.sum() == 30


def test_an_empty_mask_is_found_when_it_is_checked(picture):
    schedule = Schedule([cues.mask(str(picture(np.zeros((20, 30), np.uint8))))])
    with pytest.raises(PromptError, match="empty"):
        schedule.check(30, 20)


def test_masks_that_cannot_be_read(tmp_path, picture, monkeypatch):
    with pytest.raises(MediaError, match="no such file"):
        cues.mask(str(tmp_path / "none.png"))
    with pytest.raises(MediaError, match="folder"):
        cues.mask(str(tmp_path))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match="no PNG"):
        cues.mask(str(tmp_path / "text.png"))
    large = picture(np.zeros((20, 30), np.uint8))
    monkeypatch.setattr(limits, "MAX_SIDE", 25)
    with pytest.raises(LimitError, match=r"mask .*mask\.png is larger"):
        cues.mask(str(large))


def at(time, prompt):
    return Cue(Fraction(time), prompt)


def test_prompts_go_to_the_first_picture_that_is_not_earlier():
    a, b, c = Point(1, 1, 1), Point(1, 2, 2), Point(2, 3, 3)
    schedule = Schedule([at("0.1", c), at(0, a), at("0.05", b)])
    assert len(schedule) == 3
    assert schedule.due(Fraction(0)) == [a]
    assert schedule.due(Fraction(4, 100)) == []
    assert schedule.due(Fraction(1, 10)) == [b, c]
    assert len(schedule) == 0


def test_prompts_after_the_end():
    schedule = Schedule([at(0, Point(1, 1, 1)), at("2.5", Point(1, 2, 2))])
    schedule.check_over(Fraction(5, 2))
    with pytest.raises(PromptError, match=r"at 2\.5 s, but the video ends at 2\.40 s"):
        schedule.check_over(2.4)
    schedule.due(Fraction(3))
    schedule.check_over(0)


def test_what_an_object_is_comes_before_what_refines_it():
    point, box = Point(1, 5, 5), Box(1, 0, 0, 9, 9)
    assert Schedule([at(0, point), at(0, box)]).due(Fraction(0)) == [box, point]


def test_prompts_outside_the_picture():
    with pytest.raises(PromptError, match=r"0\.\.640 .* 0\.\.480"):
        Schedule([at(0, Point(1, 641, 10))]).check(640, 480)
    with pytest.raises(PromptError, match="box"):
        Schedule([at(9, Box(1, 5, 5, 5, 10))]).check(640, 480)
    Schedule([at(0, Point(1, 640, 480))]).check(640, 480)


def test_an_object_begins_with_what_it_is():
    with pytest.raises(PromptError, match="object 2 begins with a negative"):
        Schedule([at(0, Point(1, 1, 1)), at(1, Point(2, 1, 1, False)), at(2, Point(2, 1, 1))])
    Schedule([at(0, Point(1, 1, 1)), at(0, Point(1, 2, 2, False))])
    Schedule([at(0, Point(1, 2, 2, False)), at(0, Box(1, 1, 1, 2, 2))])


def test_a_negative_point_may_be_named_before_the_positive_one_of_its_moment():
    Schedule([at(0, Point(1, 2, 2, False)), at(0, Point(1, 1, 1))])


def test_two_boxes_of_one_object_at_once():
    one, two = Box(1, 0, 0, 9, 9), Box(1, 10, 0, 19, 9)
    with pytest.raises(PromptError, match="number the objects"):
        Schedule([at(0, one), at(0, two)])
    Schedule([at(0, one), at(1, two)])


def test_too_many_objects():
    points = [at(0, Point(i, 1, 1)) for i in range(1, limits.MAX_OBJECTS + 2)]
    Schedule(points[:-1])
    with pytest.raises(LimitError, match="16"):
        Schedule(points)
