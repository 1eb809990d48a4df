"""J and F against the values that the package vos-benchmark gives for the same masks.

EXPECTED was made once, with vos-benchmark 0.1.0 (whose F is the DAVIS-2017 evaluation's), from
the very pairs that `_pairs` draws:

    evaluator = vos_benchmark.evaluator.Evaluator()
    evaluator.feed_frame(found.astype("uint8"), truth.astype("uint8"))
    evaluator.object_iou[1][0], evaluator.boundary_f[1][0]

All 510 pairs (annotation of frame t, annotation of frame t + 3 or of the clip's last) of eight
clips of DAVIS-2016 were compared in the same way: no difference at all.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import davis

Pair = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def _ellipse(
    size: tuple[int, int], centre: tuple[int, int], axes: tuple[int, int], angle: float = 0.0
) -> NDArray[np.bool_]:
    canvas = np.zeros(size, np.uint8)
    return cv2.ellipse(canvas, centre, axes, angle, 0, 360, 1, -1).astype(bool)


def _rectangle(size: tuple[int, int], x: slice, y: slice) -> NDArray[np.bool_]:
    mask = np.zeros(size, bool)
    mask[y, x] = True
    return mask


def _pairs() -> dict[str, Pair]:
    """(found, truth) by what it tries; no randomness, no antialiasing."""
    size = (480, 854)
    disc = _ellipse(size, (400, 240), (120, 80))
    comb = np.zeros((121, 97), bool)
    comb[10:110, 8:90:6] = True
    rows, columns = np.mgrid[:121, :97]
    checks = (rows // 7 + columns // 5) % 2 == 0
    empty = np.zeros(size, bool)
    return {
        "same": (disc, disc),
        "shifted within the bound": (_ellipse(size, (405, 243), (120, 80)), disc),
        "shifted beyond the bound": (_ellipse(size, (430, 260), (120, 80)), disc),
        "turned": (_ellipse(size, (400, 240), (120, 80), 25), disc),
        "apart": (_ellipse(size, (100, 100), (40, 30)), disc),
        "ragged": (comb, _rectangle(comb.shape, slice(8, 92), slice(10, 110))),
        "checks": (checks, comb),
        "at the right border": (
            _rectangle(size, slice(700, 854), slice(100, 300)),
            _rectangle(size, slice(720, 854), slice(104, 308)),
        ),
        "at the lower corner": (
            _rectangle(size, slice(600, 854), slice(300, 480)),
            _rectangle(size, slice(606, 854), slice(292, 480)),
        ),
        "at the upper corner": (
            _rectangle(size, slice(0, 90), slice(0, 64)),
            _rectangle(size, slice(0, 101), slice(0, 60)),
        ),
        "one pixel": (
            _rectangle((33, 47), slice(20, 21), slice(10, 11)),
            _rectangle((33, 47), slice(22, 23), slice(11, 12)),
        ),
        "last pixel": (
            _rectangle((33, 47), slice(46, 47), slice(32, 33)),
            _rectangle((33, 47), slice(45, 47), slice(31, 33)),
        ),
        "all of it": (np.ones((33, 47), bool), _rectangle((33, 47), slice(2, 47), slice(0, 33))),
        "nothing found": (empty, disc),
        "something where nothing is": (disc, empty),
    }


EXPECTED = {
    "same": (1.0, 1.0),
    "shifted within the bound": (0.9313955702227581, 1.0),
    "shifted beyond the bound": (0.6356551650005374, 0.18034825870646767),
    "turned": (0.8006628787878788, 0.3303602885275084),
    "apart": (0.0, 0.0),
    "ragged": (0.16666666666666666, 0.21508427107462186),
    "checks": (0.1061112800243235, 0.8401855703087505),
    "at the right border": (0.8240461847389559, 0.5842336367054216),
    "at the lower corner": (0.9357705852758679, 1.0),
    "at the upper corner": (0.8411214953271028, 0.6384364820846905),
    "one pixel": (0.0, 0.25),
    "last pixel": (0.25, 0.888888888888889),
    "all of it": (0.9574468085106383, 0.0),
    "nothing found": (0.0, 0.0),
    "something where nothing is": (0.0, 0.0),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_equals_vos_benchmark(name: str) -> None:
    found, truth = _pairs()[name]
    assert davis.region_similarity(found, truth) == pytest.approx(EXPECTED[name][0], abs=1e-9)
    assert davis.boundary_accuracy(found, truth) == pytest.approx(EXPECTED[name][1], abs=1e-9)


def test_two_empty_masks_agree() -> None:
    """An object that left, and was not found: right in every respect."""
    empty = np.zeros((48, 64), bool)
    assert davis.region_similarity(empty, empty) == 1.0
    assert davis.boundary_accuracy(empty, empty) == 1.0


def test_first_and_last_frame_do_not_count() -> None:
    assert davis.score([(0.0, 0.0), (0.5, 0.25), (1.0, 0.75), (0.0, 0.0)]) == (0.75, 0.5)
    with pytest.raises(davis.DavisError):
        davis.score([(1.0, 1.0), (1.0, 1.0)])


def test_reads_the_clips(tmp_path: Path) -> None:
    for name in ("walk", "sit"):
        for index in range(3):
            picture = np.full((24, 32, 3), (10, 20, 200), np.uint8)  # BGR, as OpenCV writes
            annotation = np.zeros((24, 32), np.uint8)
            annotation[4:8, 5 : 9 + index] = 255
            _write(tmp_path / "JPEGImages" / name / f"{index:05}.jpg", picture)
            _write(tmp_path / "Annotations" / name / f"{index:05}.png", annotation)

    sit, walk = davis.clips(tmp_path)
    assert (sit.name, walk.name, len(sit)) == ("sit", "walk", 3)
    assert davis.read_mask(sit.annotations[2]).sum() == 4 * 6
    red, green, blue = davis.read_picture(sit.pictures[0])[12, 16]
    assert red > 190
    assert green < 40
    assert blue < 40
    assert [clip.name for clip in davis.clips(tmp_path, ["walk"])] == ["walk"]

    with pytest.raises(davis.DavisError, match="no clip run"):
        davis.clips(tmp_path, ["run"])
    with pytest.raises(davis.DavisError, match="no clips in"):
        davis.clips(tmp_path / "JPEGImages")
    sit.annotations[1].unlink()
    with pytest.raises(davis.DavisError, match="1 without an annotation"):
        davis.clips(tmp_path)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
