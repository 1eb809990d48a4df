import cv2
import numpy as np
import pytest

from stream.compose.flow import KEPT_STEPS, NEAR, Motion, grid_size, likeness, move


def texture(dx=0, dy=0, seed=1, width=320, height=180):
    small = np.random.default_rng(seed).integers(0, 256, (30, 50), np.uint8)
    large = cv2.resize(small, (500, 300), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[60 - dy : 60 - dy + height, 80 - dx : 80 - dx + width])


def test_grid_keeps_the_shape_and_never_enlarges():
    assert grid_size(1280, 720) == (320, 180)
    assert grid_size(720, 1280) == (180, 320)
    assert grid_size(1, 1) == (1, 1)
    assert grid_size(100, 50) == (100, 50)
    assert grid_size(4096, 1) == (320, 1)


@pytest.mark.parametrize("lag", [0, 1, 4, 10])
def test_what_moved_is_found_again_over_several_pictures(lag):
    motion = Motion()
    for index in range(12):
        motion.see(texture(2 * index, index), index)
    mask = np.zeros((180, 320), np.float32)
    mask[60:100, 100:160] = 1
    for _ in range(2):  # the second answer comes from what was kept
        flow = motion.back_to(11 - lag)
        moved = move(mask, flow)
        rows, columns = np.nonzero(moved > 0.5)
        assert columns.mean() == pytest.approx(129.5 + 2 * lag, abs=0.6)
        assert rows.mean() == pytest.approx(79.5 + lag, abs=0.6)


def test_a_kept_way_back_grows_with_every_picture():
    motion, fresh = Motion(), Motion()
    for index in range(8):
        motion.see(texture(2 * index), index)
        motion.back_to(2)
        fresh.see(texture(2 * index), index)
    middle = np.s_[40:140, 60:260]
    assert np.abs(motion.back_to(2)[middle] - fresh.back_to(2)[middle]).max() < 0.5
    assert motion.back_to(2)[middle][..., 0].mean() == pytest.approx(-10, abs=0.3)


def test_what_moved_may_stop_and_turn_back_at_once():
    """Though each flow begins from the one before."""
    motion = Motion()
    places = [0, 3, 6, 9, 9, 9, 5, 1, 1]
    for index, (place, last) in enumerate(zip(places, [0, *places], strict=False)):
        step = motion.see(texture(place), index)
        if step is not None:
            found = step.flow[40:140, 60:260, 0]
            assert found.mean() == pytest.approx(last - place, abs=0.3)
            assert np.abs(found - (last - place)).max() < 1.5


def test_a_picture_of_another_size_is_seen_as_if_it_were_the_first():
    """OpenCV keeps flows from call to call."""
    motion = Motion()
    index = 0
    for width, height in [(320, 180), (180, 320), (320, 240), (64, 48), (320, 180), (24, 24)] * 3:
        fresh = Motion()
        for number in range(3):
            index += 1
            luma = texture(3 * number, seed=width, width=width, height=height)
            step, expected = motion.see(luma, index), fresh.see(luma, number)
            assert (step is None) == (number == 0)
            if step is not None:
                assert np.array_equal(step.flow, expected.flow)


def test_no_way_leads_over_a_cut_a_new_size_or_too_far_back():
    motion = Motion()
    for index in range(4):
        motion.see(texture(), index)
    assert motion.see(texture(seed=2), 4).is_cut
    assert motion.back_to(3) is None
    assert not motion.back_to(4).any()
    assert not motion.see(texture(seed=2), 5).is_cut
    assert motion.back_to(3) is None
    assert motion.back_to(4) is not None
    assert motion.see(texture(width=180, height=180), 6) is None
    assert motion.back_to(5) is None
    assert motion.back_to(7) is None, "a mask from the future"
    for index in range(7, 8 + KEPT_STEPS):
        motion.see(texture(width=180, height=180), index)
    assert motion.back_to(6) is None


def test_a_dropped_picture_is_taken_for_the_one_before_it():
    motion = Motion()
    for index in (0, 1, 2 + NEAR + 1):
        motion.see(texture(), index)
    assert motion.back_to(1 + NEAR) is not None
    assert motion.back_to(2 + NEAR) is None
    cut = Motion()
    cut.see(texture(), 0)
    cut.see(texture(seed=2), 2)
    assert cut.back_to(1) is None, "nobody knows on which side of the cut it was"


@pytest.mark.parametrize(("gain", "offset"), [(0.7, 10), (0.4, 0), (1.0, 60), (1.3, 0)])
def test_another_light_moves_nothing_and_is_no_cut(gain, offset):
    dim = cv2.convertScaleAbs(texture(), alpha=0.7)
    motion = Motion()
    motion.see(dim, 0)
    for index, luma in ((1, cv2.convertScaleAbs(dim, alpha=gain, beta=offset)), (2, dim)):
        step = motion.see(luma, index)
        assert np.abs(step.flow[20:-20, 20:-20]).mean() < 0.5
        assert not step.is_cut


@pytest.mark.parametrize("gain", [3.0, 3.5])
def test_a_flash_that_is_too_bright_for_the_camera_is_no_cut(gain):
    """Most of the picture is white in it; neither its beginning nor its end is a cut."""
    motion = Motion()
    dim = cv2.convertScaleAbs(texture(), alpha=0.8)
    flash = cv2.convertScaleAbs(dim, alpha=gain)
    assert 0.5 < (flash == 255).mean() < 0.8
    for index, luma in enumerate((dim, flash, dim)):
        step = motion.see(luma, index)
    assert motion.back_to(0) is not None
    assert not step.flow.any()


@pytest.mark.parametrize("code", [0, 255])
def test_nothing_leads_through_a_picture_that_is_white_or_black(code):
    motion = Motion()
    for index, luma in enumerate((texture(), np.full((180, 320), code, np.uint8), texture(seed=2))):
        step = motion.see(luma, index)
        assert index == 0 or step.is_cut


def test_a_flash_on_another_scene_is_a_cut():
    for bright, dim in ((1, 2), (2, 1)):
        motion = Motion()
        motion.see(texture(seed=dim), 0)
        assert motion.see(cv2.convertScaleAbs(texture(seed=bright), alpha=2), 1).is_cut
        assert motion.see(texture(seed=dim), 2).is_cut


def test_another_light_on_another_scene_is_a_cut():
    motion = Motion()
    motion.see(texture(), 0)
    assert motion.see(cv2.convertScaleAbs(texture(seed=2), alpha=0.6, beta=50), 1).is_cut


@pytest.mark.parametrize(("far", "is_cut"), [(0.15, False), (0.25, True)])
def test_a_picture_that_moves_too_far_at_once_is_not_followed(far, is_cut, monkeypatch):
    """The flow is given: whether the real one finds so large a motion depends on the picture."""
    motion = Motion()
    motion.see(texture(), 0)
    step = round(far * 320)
    flow = np.zeros((90, 160, 2), np.float32)
    flow[..., 0] = -step / 2

    class Found:
        def calc(self, *_):
            return flow

    monkeypatch.setattr(motion, "_dis", Found())
    moved = np.roll(texture(), step, axis=1)
    moved[:, :step] = texture()[:, :1]
    assert motion.see(moved, 1).is_cut == is_cut
    assert (motion.back_to(0) is None) == is_cut


def test_a_cut_beside_something_large_that_stays_is_seen():
    one, other = texture(seed=3), texture(seed=4)
    one[60:120, 110:210] = other[60:120, 110:210] = 250
    motion = Motion()
    motion.see(one, 0)
    assert motion.see(other, 1).is_cut


def test_likeness_heeds_neither_brightness_nor_contrast():
    picture = texture()
    assert likeness(picture, picture) == pytest.approx(1)
    assert likeness(picture, cv2.convertScaleAbs(picture, alpha=0.5, beta=60)) > 0.99
    assert likeness(picture, texture(seed=9)) < 0.4
    flat = np.full((180, 320), 90, np.uint8)
    assert likeness(flat, flat + 40) == 1
    assert likeness(flat, picture) == likeness(picture, flat) == 0


def test_pictures_with_padding_between_their_rows_are_followed():
    """As decoders give small ones, which are looked at as they are."""
    padded = np.random.default_rng(3).integers(0, 255, (2, 120, 192), np.uint8)
    motion = Motion()
    assert motion.see(padded[0, :, :160], 0) is None
    assert motion.see(padded[1, :, :160], 1) is not None
