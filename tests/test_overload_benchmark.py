"""The parts of benchmarks.overload that decide what its figures mean."""

import numpy as np
import pytest

from benchmarks import overload, overload_client


@pytest.mark.parametrize("index", [0, 1, 85, 170, 255])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize(("width", "height"), overload.SIZES)
def test_the_number_in_a_picture_is_read_back(
    index: int, scale: float, width: int, height: int
) -> None:
    texture = np.full((height * 3 // 2, width * 2), 120, np.uint8)
    shown = overload_client.scene(index, texture)
    if scale < 1:
        shown = shown.reformat(int(width * scale), int(height * scale))
    plane = shown.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(shown.height, plane.line_size)  # type: ignore[call-overload]
    assert overload_client.number(luma[:, : shown.width]) == index


def test_figures_are_of_the_phase_alone() -> None:
    samples = [(at / 10, 0.05) for at in range(100)] + [(10 + at / 10, 0.4) for at in range(20)]
    samples += [(12 + at / 10, 0.05) for at in range(50)]
    calm = overload.summary(overload.within(samples, 0, 10), 10)
    assert calm == {"age_ms": {"p50": 50, "p95": 50, "max": 50}, "fps": 10.0}
    assert overload.fresh_after(samples, 10.0, 0.05) == 1.9
    assert overload.fresh_after(samples, 13.0, 0.05) == 0.0
    assert overload.fresh_after(samples[:-45], 10.0, 0.05) is None
    assert overload.summary([], 10) == {"age_ms": None, "fps": 0.0}


@pytest.mark.parametrize(
    ("levels", "held", "recovered"),
    [
        ([(0.0, 1), (3.0, 2), (8.0, 5), (24.0, 4), (29.5, 1)], 1, 9.5),
        ([(0.0, 1), (3.0, 2), (8.0, 5), (24.0, 4)], 1, None),
        ([(0.0, 0)], 0, 0.0),
        ([(0.0, 1), (3.0, 2), (18.0, 1)], 1, 0.0),
        ([(0.0, 0), (3.0, 2), (21.0, 3), (25.0, 0)], 1, 5.0),
    ],
)
def test_quality_is_back_when_it_is_what_it_was(
    levels: overload.Levels, held: int, recovered: float | None
) -> None:
    assert overload.recovered_after(levels, held, 20.0) == recovered
