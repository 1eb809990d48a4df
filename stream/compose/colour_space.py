"""How a picture's YUV codes and RGB belong together: its matrix and its range."""

from dataclasses import dataclass
from typing import cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from stream.compose.planes import Plane, Planes, halve

BT709, BT601 = 1, 6
LUMA_WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601 with 625 lines
    BT601: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),
}
"""Shares of red and blue in luma, by the MatrixCoefficients of ITU-T H.273 table 4."""

HD_HEIGHT = 720
"""A picture that does not name its matrix is taken for BT.709 from this height on."""


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """red, blue: their shares in luma.

    full: codes fill 0..255; otherwise luma keeps to 16..235 and chroma to 16..240.
    """

    red: float
    blue: float
    full: bool

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "ColourSpace":
        return cls(*LUMA_WEIGHTS[matrix_of(picture)], is_full_range(picture))

    def matrix(self) -> NDArray[np.float64]:
        """[3, 4]: takes (r, g, b, 1), colours 0 to 255, to the codes of y, u and v."""
        luma = np.array([self.red, 1 - self.red - self.blue, self.blue])
        u = (np.array([0, 0, 1]) - luma) / (2 * (1 - self.blue))
        v = (np.array([1, 0, 0]) - luma) / (2 * (1 - self.red))
        luma_scale, chroma_scale = (1.0, 1.0) if self.full else (219 / 255, 224 / 255)
        weights = np.stack([luma * luma_scale, u * chroma_scale, v * chroma_scale])
        return np.column_stack([weights, [0 if self.full else 16, 128, 128]])

    @property
    def black(self) -> int:
        """Luma's code for it."""
        return 0 if self.full else 16

    @property
    def white(self) -> int:
        return 255 if self.full else 235

    @property
    def ranges(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """The least and the greatest code of y, u and v."""
        chroma = (0, 255) if self.full else (16, 240)
        return (self.black, self.white), chroma, chroma

    def codes(self, colour: str) -> tuple[int, int, int]:
        """y, u and v of a colour "#rrggbb"."""
        rgb = bytes.fromhex(colour.removeprefix("#"))
        y, u, v = np.clip(np.rint(self.matrix() @ [*rgb, 1]), 0, 255)
        return int(y), int(u), int(v)

    def planes(self, rgb: NDArray[np.uint8]) -> Planes:
        """The planes of an RGB picture, uint8 [H, W, 3]."""
        y, u, v = (cast(Plane, p) for p in cv2.split(cv2.transform(rgb, self.matrix())))
        return Planes(y, halve(u), halve(v))


def default_matrix(height: int) -> int:
    return BT709 if height >= HD_HEIGHT else BT601


def matrix_of(picture: av.VideoFrame) -> int:
    """In the numbers of LUMA_WEIGHTS; where none is named, what the picture is taken for."""
    matrix = picture.colorspace
    return int(matrix) if matrix in LUMA_WEIGHTS else default_matrix(picture.height)


def is_full_range(picture: av.VideoFrame) -> bool:
    if picture.color_range == ColorRange.UNSPECIFIED:
        return picture.format.name.startswith(("yuvj", "gray"))
    return picture.color_range == ColorRange.JPEG
