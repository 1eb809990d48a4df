"""Real pictures with known masks, for the tests of the tracker."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.davis import DATA, clips, read_mask, read_picture
from stream.frames import Image
from stream.track import catalog

SIZE = catalog.MODELS[catalog.EMBEDDED].sizes[0]
"""Side of the embedded model's input, in pixels."""


@cache
def picture(clip: str, index: int) -> Image:
    rgb = read_picture(_clip(clip).pictures[index])
    height, width = rgb.shape[:2]
    small = cv2.resize(rgb, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return Image(np.asarray(small, np.uint8), width, height, index)


@cache
def truth(clip: str, index: int) -> NDArray[np.bool_]:
    """The object's mask at the source picture's size."""
    return read_mask(_clip(clip).annotations[index])


def centre(clip: str, index: int) -> tuple[float, float]:
    """The point of the object that is farthest from its border."""
    inside = np.pad(truth(clip, index).astype(np.uint8), 1)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(distance.argmax(), distance.shape)
    return float(x), float(y)


def iou(logits: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    height, width = mask.shape
    found = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR) > 0
    return float((found & mask).sum() / (found | mask).sum())


@cache
def _clip(name: str):  # type: ignore[no-untyped-def]
    assert Path(DATA).is_dir(), f"the tests need the clips in {DATA}"
    return clips(DATA, [name])[0]
