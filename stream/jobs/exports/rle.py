"""Masks as run lengths, the way COCO stores them (cocoapi, common/maskApi.c).

Runs of 0 and 1 in turn, beginning with 0, down the columns. As text, each run is written as its
difference from the run before the last, in groups of five bits from the lowest, the sixth bit
saying that more follow, each group plus 48 as a character.
"""

import numpy as np
from numpy.typing import NDArray


def encode(region: NDArray[np.bool_]) -> dict[str, object]:
    """{"size": [height, width], "counts": text} of bool [height, width]."""
    return {"size": list(region.shape), "counts": _text(runs(region))}


def runs(region: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs; the first, of zeros, may be 0."""
    flat = region.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    lengths: list[int] = np.diff(edges).tolist()
    return [0, *lengths] if flat[0] else lengths


def _text(lengths: list[int]) -> str:
    letters = bytearray()
    for i, length in enumerate(lengths):
        left = length - lengths[i - 2] if i > 2 else length
        while True:
            group = left & 0x1F
            left >>= 5  # keeps the sign
            more = left != (-1 if group & 0x10 else 0)
            letters.append(group + (0x20 if more else 0) + 48)
            if not more:
                break
    return letters.decode("ascii")
