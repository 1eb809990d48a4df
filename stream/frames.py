"""The pictures and masks that every stage passes on."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream, as it was decoded.

    picture: any pixel format; never written to, the decoder may still refer to it.
    index: position in the source, from 0; pictures that are dropped later count.
    pts: presentation time in units of `time_base` seconds.
    received: time.monotonic() when the last of its data came; where that is not known, when it was
    decoded.
    """

    picture: av.VideoFrame
    index: int
    pts: int
    time_base: Fraction
    received: float = 0.0

    @property
    def width(self) -> int:
        return self.picture.width

    @property
    def height(self) -> int:
        return self.picture.height

    def image(self, size: int) -> "Image":
        """The picture squeezed to size x size RGB: what a network of that input size sees."""
        rgb = self.picture.reformat(size, size, "rgb24", interpolation="BICUBIC").to_ndarray()
        return Image(rgb.astype(np.uint8, copy=False), self.width, self.height, self.index)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture as a network sees it.

    rgb: uint8 [S, S, 3], S the network's input size; the aspect ratio is not kept.
    width, height: of the source picture in pixels, the space that prompts are given in.
    index: of the frame it was made from.
    """

    rgb: NDArray[np.uint8]
    width: int
    height: int
    index: int


@dataclass(frozen=True, slots=True)
class Masks:
    """What the tracker found on one frame, for N objects.

    object_ids: in the order of the arrays' first axis.
    logits: float32 [N, S/4, S/4] over the whole source picture, positive inside the object;
        -1024 everywhere where the object is hidden or has left.
    scores: float32 [N], logit of "the object is in the picture".
    ious: float32 [N], the network's own estimate of the mask's IoU, 0 to 1.
    index: of the frame they belong to.
    """

    object_ids: tuple[int, ...]
    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    ious: NDArray[np.float32]
    index: int
