"""The benchmark of opacity against pictures that are known, and a small run of it as a whole."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import alpha, alpha_scenes


def disc(centre: float, radius: float = 60.0, soft: float = 4.0) -> np.ndarray:
    y, x = np.mgrid[:200, :400].astype(np.float32)
    return np.clip((radius - np.hypot(x - centre, y - 100)) / soft + 0.5, 0, 1)


@pytest.mark.parametrize(("behind", "speed"), [(7.5, 10.0), (-3.0, 10.0), (7.5, -10.0)])
def test_lag_is_what_the_matte_is_behind(behind: float, speed: float) -> None:
    late = disc(200 - behind * np.sign(speed))
    assert alpha.lag(late, disc(200), speed) == pytest.approx((behind, behind), abs=0.2)


def test_a_matte_that_is_too_large_trails_but_does_not_lag() -> None:
    front, back = alpha.lag(disc(200, radius=65), disc(200), 10.0) or (0, 0)
    assert front == pytest.approx(-5.5, abs=0.7)  # more where a row grazes the disc
    assert back == pytest.approx(5.5, abs=0.7)


def test_nothing_found_has_no_lag() -> None:
    assert alpha.lag(np.zeros_like(disc(200)), disc(200), 10.0) is None


def test_errors_are_none_for_the_truth_and_those_of_the_band_otherwise() -> None:
    truth = disc(200)
    band = alpha.unknown(truth)
    assert 0.1 < band.mean() < 0.2
    assert set(alpha.opacity_errors(truth, truth, band).values()) == {0.0}
    hard = alpha.opacity_errors((truth > 0.5).astype(np.float32), truth, band)
    assert 0.01 < hard["alpha_error"] < 0.2
    assert 0 < hard["square_error"] < 1000 * hard["alpha_error"]
    assert hard["gradient_error"] > 0


def test_a_head_has_soft_hair_and_a_whole_face() -> None:
    pixels = alpha_scenes.head("any", (48, 34, 26), seed=1).pixels
    opacity = pixels[..., 3]
    assert opacity.max() == pytest.approx(1)
    assert opacity[150, 150] == pytest.approx(1)
    assert ((opacity > 0.1) & (opacity < 0.9)).sum() > 3000
    assert (pixels[..., :3] <= 255 * opacity[..., None] + 1e-3).all()


def test_a_shutter_blurs_what_is_quick_along_its_way() -> None:
    things = {
        motion: alpha_scenes.shots(
            alpha_scenes.head("any", (48, 34, 26), seed=1),
            motion,
            [np.zeros((alpha_scenes.HEIGHT, alpha_scenes.WIDTH, 3), np.uint8)],
            np.zeros((alpha_scenes.HEIGHT, alpha_scenes.WIDTH, 3), np.uint8),
        )
        for motion in ("still", "quick")
    }
    still, quick = (next(shots) for shots in things.values())
    assert (still.speed, quick.speed) == (0.0, pytest.approx(22.0))
    soft = [((shot.opacity > 0.1) & (shot.opacity < 0.9)).sum() for shot in (still, quick)]
    assert soft[1] > 1.5 * soft[0]


def test_ours_is_nearer_the_truth_than_the_late_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr(alpha, "QUICK_FRAMES", 9)  # the mask changes at the last
    monkeypatch.setattr(sys, "argv", ["alpha", "--quick", "--json", "--sheet", str(sheet)])
    assert alpha.main() == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    for key in ("alpha_error", "gradient_error", "composite_error", "flicker", "lag"):
        assert abs(found[f"{key}_with"]) < 0.7 * found[f"{key}_without"], key
    assert found["composite_error_with"] < found["composite_error_unspilled"]
    assert set(found["motions"]) == set(alpha_scenes.MOTIONS)
    assert set(found["kinds"]) == set(alpha_scenes.KINDS)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape == (8 * 2 * alpha.SHOWN[1], 4 * 2 * alpha.SHOWN[0], 3)


def test_missing_pictures_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["alpha", "--quick", "--data", str(tmp_path)])
    assert alpha.main() == 2
    assert str(tmp_path) in capsys.readouterr().err
