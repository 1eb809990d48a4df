"""Mask logits -> matte: how opaque each pixel of the objects is."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.compose.planes import Plane, halve
from stream.frames import Masks

Logits = NDArray[np.float32]

SOFT_EDGE = 0.5
"""Logit at which a pixel is wholly the object's, and its negative wholly the background's.
The embedded model's logits rise by about 0.1 a pixel of 480p across an outline, so the edge is
10 pixels wide. Tried: 1 and 2, where the room showed as a ghost wherever the model was in doubt."""


@dataclass(frozen=True, slots=True)
class Matte:
    """Opacity, 0 background to 255 object.

    luma: uint8 [height, width]; chroma: uint8 [ceil(height / 2), ceil(width / 2)].
    """

    luma: Plane
    chroma: Plane

    @classmethod
    def of(cls, luma: Plane) -> "Matte":
        return cls(luma, halve(luma))

    @property
    def planes(self) -> tuple[Plane, Plane, Plane]:
        """The opacity of each of a picture's planes y, u and v."""
        return self.luma, self.chroma, self.chroma


def present(masks: Masks | None) -> list[tuple[int, Logits]]:
    """Id and logits [s, s] of each object with a positive logit anywhere; the others are hidden."""
    if masks is None:
        return []
    pairs = zip(masks.object_ids, masks.logits, strict=True)
    return [(object_id, logits) for object_id, logits in pairs if (logits > 0).any()]


def union(masks: Masks | None) -> Logits | None:
    """Logits [s, s] of "any of the objects"; None when no object is to be seen."""
    objects = present(masks)
    if not objects:
        return None
    return cast(Logits, np.maximum.reduce([logits for _, logits in objects]))


def matte(logits: Logits, width: int, height: int, edge: float = SOFT_EDGE) -> Plane:
    """Opacity uint8 [height, width] of logits [s, s] that cover the whole picture.

    Bilinear between the centres of pixels, then a straight ramp from -edge to edge: a sigmoid
    would keep a trace of the background inside the object and of the object far outside.
    """
    large = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
    slope = 127.5 / edge
    return cast(Plane, cv2.addWeighted(large, slope, large, 0, 127.5, dtype=cv2.CV_8U))
