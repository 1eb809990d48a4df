"""Prompts as people give them, drawn from the true masks and from what the model got wrong."""

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream.track.networks.base import FIRST_WORD

Kind = Literal["click", "box", "mask", "word"]

BOX_NOISE = 0.1
"""Standard deviation of a box's corners, as a share of its sides; SAM's own (arXiv 2304.02643)."""

MOST_BOX_NOISE = 20 / 1024
"""Of the picture's side; SAM's own. Without it the box around something large says little."""

MIDDLE_SHARE = 0.5
"""Of the clicks that go to a region's middle, as people click; the others go anywhere in it."""

Points = dict[str, Tensor]
"""SAM 2's form: "point_coords" float32 [N, P, 2] in pixels, "point_labels" int32 [N, P]:
0 and 1 clicks, 2 and 3 a box's corners, from FIRST_WORD on words."""


def points(coordinates: NDArray[np.float32], labels: NDArray[np.int32]) -> Points:
    return {
        "point_coords": torch.from_numpy(coordinates),
        "point_labels": torch.from_numpy(labels),
    }


def first_clicks(masks: NDArray[np.bool_], random: np.random.Generator | None) -> Points:
    """One positive click on each mask of bool [N, S, S]; in its middle when random is None."""
    found = [click_in(mask, random) for mask in masks]
    return points(np.array(found, np.float32).reshape(-1, 1, 2), np.ones((len(masks), 1), np.int32))


def boxes(masks: NDArray[np.bool_], random: np.random.Generator | None) -> Points:
    """The box around each mask of bool [N, S, S], a little off unless random is None."""
    corners = []
    for mask in masks:
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        box = np.array([[x, y], [x + width - 1, y + height - 1]], np.float32)
        if random is not None:
            most = MOST_BOX_NOISE * mask.shape[0]
            off = random.normal(0, BOX_NOISE, (2, 2)) * (width, height)
            box += off.clip(-most, most)
        corners.append(box.clip(0, mask.shape[0] - 1))
    labels = np.tile(np.array([2, 3], np.int32), (len(masks), 1))
    return points(np.array(corners, np.float32), labels)


def words(numbers: Tensor) -> Points:
    """One word for each object, int32 [N]; it lies nowhere."""
    return {
        "point_coords": torch.zeros(len(numbers), 1, 2),
        "point_labels": numbers[:, None] + FIRST_WORD,
    }


def corrections(
    found: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    others: NDArray[np.bool_],
    random: np.random.Generator | None,
    elsewhere: float = 0.0,
) -> Points:
    """One click for each object: positive where `found` misses it, negative where it is wrong.

    found, truth: bool [N, S, S]; others: what belongs to other objects of the same picture.
    elsewhere: share of the clicks that goes to the object or to the others, right or wrong. With
    random None, the click goes to the middle of the larger error.
    """
    where, labels = [], []
    for seen, mask, other in zip(found, truth, others, strict=True):
        missed, extra = mask & ~seen, seen & ~mask
        if random is None:
            positive = bool(np.count_nonzero(missed) >= np.count_nonzero(extra))
            region = missed if positive else extra
        elif random.random() < elsewhere:
            positive = bool(mask.any()) and random.random() < 0.5
            region = mask if positive else other & ~mask
        else:
            pixels = np.count_nonzero(missed), np.count_nonzero(extra)
            positive = bool(random.random() * max(1, sum(pixels)) < pixels[0])
            region = missed if positive else extra
        if not region.any():
            positive = bool(mask.any())
            region = mask if positive else ~mask
        where.append(click_in(region, random))
        labels.append([int(positive)])
    return points(np.array(where, np.float32).reshape(-1, 1, 2), np.array(labels, np.int32))


def click_in(region: NDArray[np.bool_], random: np.random.Generator | None) -> tuple[float, float]:
    """x, y of a pixel of bool [S, S] that is not empty; the one farthest from its border when
    random is None, else that or any."""
    if random is not None and random.random() > MIDDLE_SHARE:
        inside = np.flatnonzero(region)
        y, x = divmod(int(inside[random.integers(len(inside))]), region.shape[1])
        return float(x), float(y)
    padded = np.pad(region, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = divmod(int(np.argmax(distance)), region.shape[1])
    return float(x), float(y)


def join(before: Points, after: Points) -> Points:
    """The points of both, in order."""
    return {name: torch.cat([before[name], after[name]], dim=1) for name in before}
