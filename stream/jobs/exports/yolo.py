"""Labels as Ultralytics YOLO reads them for segmentation: a text a picture, a line an object:
its class and then the outline's x and y, as shares of the picture's width and height.

A line is one polygon. Parts of an object are joined where they are nearest, there and back along
the same way, as the converters from COCO do; holes are lost.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.jobs.exports.base import ZipFile
from stream.jobs.exports.shown import Region, Shown

SMALLEST = 0.01
"""Parts with less than this share of the largest part's area are specks and are left out."""

TOLERANCE = 0.75
"""Pixels that the outline may be off: half as many points, and nothing that can be seen."""

Polygon = NDArray[np.int32]


class Yolo(ZipFile):
    """names: what each object is called; objects of one name are one class."""

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        super().__init__(path, zipfile.ZIP_DEFLATED)
        classes = list(dict.fromkeys(names.values()))
        self._classes = {object_id: classes.index(name) for object_id, name in names.items()}
        listed = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(classes))
        # JSON's strings are YAML's too.
        self._archive.writestr(
            "data.yaml", f"path: .\ntrain: images\nval: images\nnames:\n{listed}"
        )

    def write(self, shown: Shown) -> None:
        size = np.array([shown.picture.width, shown.picture.height])
        lines = []
        for object_id, region in shown.regions.items():
            outline = polygon(region)
            if outline is not None:
                # The outline goes through the middles of pixels.
                shares = (outline + 0.5) / size
                numbers = " ".join(f"{share:.6f}" for share in shares.ravel())
                lines.append(f"{self._classes[object_id]} {numbers}\n")
        self._archive.writestr(f"labels/{shown.index:06d}.txt", "".join(lines))


def polygon(region: Region) -> Polygon | None:
    """The region's outline as one polygon [n, 2] of x, y; None when it is thinner than that."""
    contours, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    simple = [_simplified(contour) for contour in contours]
    parts = sorted((part for part in simple if len(part) >= 3), key=_area, reverse=True)
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        if _area(part) >= SMALLEST * _area(parts[0]):
            whole = _joined(whole, part)
    return whole


def _simplified(contour: NDArray[np.generic]) -> Polygon:
    outline = np.asarray(contour, np.int32)
    return np.asarray(cv2.approxPolyDP(outline, TOLERANCE, closed=True)[:, 0], np.int32)


def _area(part: Polygon) -> float:
    return float(cv2.contourArea(part))


def _joined(one: Polygon, other: Polygon) -> Polygon:
    """`one` with a detour, at the point nearest to `other`, once around it."""
    distances = ((one[:, None].astype(float) - other[None].astype(float)) ** 2).sum(axis=2)
    here, there = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(other, -int(there), axis=0)
    return np.concatenate((one[: here + 1], around, around[:1], one[here:]))
