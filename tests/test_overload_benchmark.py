"""The parts of benchmarks.overload that decide what its figures mean."""

import numpy as np
import pytest

from benchmarks import overload, overload_client


@pytest.mark.parametrize("index", [0, 1, 85, 170, 255])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_number_in_a_picture_is_read_back(index: int, scale: float) -> None:
    height, width = overload_client.HEIGHT, overload_client.WIDTH
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
