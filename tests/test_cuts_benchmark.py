"""The benchmark of cuts: on drawn films what it says can be nothing else."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import cuts
from tests import drawn_clips


def test_light_brightens_to_white_at_most_and_darkens_to_black() -> None:
    planes = cuts.Planes(*(np.array([[0, 100, 200]], np.uint8) for _ in range(3)))
    lit = {light: cuts.lit(planes, light).y.tolist() for light in cuts.LIGHTS}
    assert lit["as it is"] == [[0, 100, 200]]
    assert lit["40 codes brighter"] == [[40, 140, 240]]
    assert lit["twice as bright"] == [[0, 200, 255]]
    assert lit["a third as bright"] == [[0, 33, 66]]
    assert planes.y.tolist() == [[0, 100, 200]]


def test_every_pair_is_looked_at_and_what_was_not_told_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two films are the same, so what follows the one's end is no cut where the other begins."""
    (tmp_path / "video" / "drawn").mkdir(parents=True)
    pictures = tmp_path / "eval" / "davis" / "JPEGImages" / "noise"
    pictures.mkdir(parents=True)
    for name in ("one", "same"):
        drawn_clips.make(tmp_path / "video" / "drawn" / f"{name}.mp4")
    noise = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    for number in range(4):
        large = cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(pictures / f"{number}.jpg"), large)
    monkeypatch.setattr(sys, "argv", ["cuts", "--json", "--data", str(tmp_path)])
    assert cuts.main() == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["clips"] == 3
    assert found["cuts"]["as it is"] == {"pairs": 6, "missed": 2}
    assert found["same_room"] == {"pairs": 0, "missed": 0}
    assert found["same_scene"]["as it is"] == {"pairs": 6, "taken": 0}
    assert found["same_scene"]["1.4 times as bright"]["taken"] == 0
    assert set(found["cuts"]) == set(cuts.LIGHTS)


def test_clips_of_one_room_are_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "webcam").mkdir()
    (tmp_path / "objects").mkdir()
    names = ("webcam/one", "webcam/same", "objects/other")
    found = cuts.clips(drawn_clips.make(tmp_path / f"{name}.mp4") for name in names)
    assert [clip.room for clip in found] == ["webcam", "webcam", "other"]
    assert cuts.missed(found, "as it is") == {"pairs": 4, "missed": 4}
    assert cuts.missed(found, "as it is", one_room=True) == {"pairs": 2, "missed": 2}


def test_missing_films_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cuts", "--data", str(tmp_path)])
    assert cuts.main() == 2
    assert str(tmp_path) in capsys.readouterr().err
