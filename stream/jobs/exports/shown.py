"""One picture of a job as every export sees it."""

from fractions import Fraction
from functools import cached_property
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.matte import Logits, present
from stream.frames import Masks

Region = NDArray[np.bool_]


class Shown:
    """picture: upright; not to be written to. index: from 0. time: seconds after the first."""

    def __init__(
        self, picture: av.VideoFrame, index: int, time: Fraction, masks: Masks | None
    ) -> None:
        self.picture = picture
        self.index = index
        self.time = time
        self.masks = masks

    @cached_property
    def large(self) -> dict[int, Logits]:
        """Object -> logits float32 [height, width] of those that are to be seen."""
        size = self.picture.width, self.picture.height
        return {
            object_id: cast(Logits, cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR))
            for object_id, logits in present(self.masks)
        }

    @cached_property
    def regions(self) -> dict[int, Region]:
        """Object -> bool [height, width], True inside it; only objects that have a pixel."""
        found = {object_id: logits > 0 for object_id, logits in self.large.items()}
        return {object_id: region for object_id, region in found.items() if region.any()}

    @cached_property
    def union(self) -> Region:
        """bool [height, width]: any of the objects."""
        nothing = np.zeros((self.picture.height, self.picture.width), np.bool_)
        return cast(Region, np.logical_or.reduce([nothing, *self.regions.values()]))

    def score(self, object_id: int) -> float:
        """The network's own estimate of the mask's IoU, 0 to 1."""
        assert self.masks is not None
        return float(self.masks.ious[self.masks.object_ids.index(object_id)])


def bounds(region: Region) -> tuple[int, int, int, int]:
    """left, top, width, height in pixels of a region that has at least one."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
