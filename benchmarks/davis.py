"""DAVIS: its clips, and its measures of a tracker, J (region) and F (boundary).

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
CVPR 2016, section 4, with the edge cases of the DAVIS-2017 evaluation code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "eval" / "davis"
"""Where the clips lie unless a benchmark is told otherwise."""

BOUND = 0.008
"""How far a boundary may be off and still match, as a share of the picture's diagonal."""


class DavisError(Exception):
    """The data are not laid out as DAVIS lays them out."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: a picture and an annotation a frame, in the order of time."""

    name: str
    pictures: tuple[Path, ...]
    annotations: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def first(self, count: int) -> "Clip":
        """The clip cut to its first `count` frames."""
        return Clip(self.name, self.pictures[:count], self.annotations[:count])


def clips(root: Path, names: Sequence[str] = ()) -> list[Clip]:
    """The clips below `root` (`JPEGImages/<clip>`, `Annotations/<clip>`), all or those named.

    Raises DavisError when a clip is missing, or a picture of it has no annotation.
    """
    there = sorted(path.name for path in (root / "JPEGImages").glob("*") if path.is_dir())
    if not there:
        raise DavisError(f"no clips in {root}; wanted {root / 'JPEGImages'}/<clip>/*.jpg")
    missing = sorted(set(names) - set(there))
    if missing:
        raise DavisError(f"no clip {', '.join(missing)} in {root}; there are {', '.join(there)}")
    return [_clip(root, name) for name in there if name in names or not names]


def _clip(root: Path, name: str) -> Clip:
    pictures = tuple(sorted((root / "JPEGImages" / name).glob("*.jpg")))
    annotations = tuple(root / "Annotations" / name / f"{path.stem}.png" for path in pictures)
    absent = [path for path in annotations if not path.is_file()]
    if absent or len(pictures) < 3:
        raise DavisError(
            f"clip {name} has {len(pictures)} pictures, {len(absent)} without an annotation; "
            "wanted three or more, each with a PNG of the same name"
        )
    return Clip(name, pictures, annotations)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3]."""
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """bool [H, W]: everything that is annotated, as one object (DAVIS-2016)."""
    mask: NDArray[np.bool_] = _read(path, cv2.IMREAD_COLOR).any(axis=2)
    return mask


def _read(path: Path, flags: int) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise DavisError(f"{path} is not a picture")
    return picture.astype(np.uint8, copy=False)


def region_similarity(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """J of one frame, 0 to 1: intersection over union; 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def boundary_accuracy(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F of one frame, 0 to 1: harmonic mean of the boundary's precision and recall.

    A boundary pixel matches when the other boundary comes within BOUND of it. 1 where both masks
    have no boundary, 0 where one of them has none.
    """
    found_edge, truth_edge = _boundary(found), _boundary(truth)
    found_length, truth_length = np.count_nonzero(found_edge), np.count_nonzero(truth_edge)
    if not found_length or not truth_length:
        return float(found_length == truth_length)
    disk = _disk(int(np.ceil(BOUND * np.hypot(*truth.shape))))
    precision = np.count_nonzero(found_edge & cv2.dilate(truth_edge, disk)) / found_length
    recall = np.count_nonzero(truth_edge & cv2.dilate(found_edge, disk)) / truth_length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """1 where a pixel differs from its neighbour to the right, below, or between the two."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    edge = (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])
    return edge.astype(np.uint8)


@cache
def _disk(radius: int) -> NDArray[np.uint8]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius).astype(np.uint8)


def score(frames: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """J and F of a clip from those of its frames, in order.

    The first frame, which the prompt was given on, and the last do not count: so the DAVIS
    evaluation of semi-supervised tracking has it.
    """
    if len(frames) < 3:
        raise DavisError(f"a clip of {len(frames)} frames has none that counts; wanted 3 or more")
    j, f = np.mean(frames[1:-1], axis=0)
    return float(j), float(f)
