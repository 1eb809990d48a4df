"""Pictures that are as hard to encode as a camera's: a soft texture that moves."""

import functools
import time
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from stream.frames import Frame


@functools.cache
def _texture(width: int, height: int) -> Any:
    noise = np.random.default_rng(7).integers(0, 255, (height * 3 // 2, width * 2), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (7, 7), 0), None, 20, 230, cv2.NORM_MINMAX)


def moving_picture(index: int, width: int = 320, height: int = 240) -> av.VideoFrame:
    """yuv420p, 30 a second."""
    at = index * 3 % width
    pixels = np.ascontiguousarray(_texture(width, height)[:, at : at + width])
    picture = av.VideoFrame.from_ndarray(pixels, "yuv420p")
    picture.pts, picture.time_base = index * 3000, Fraction(1, 90_000)
    return picture


def moving_frame(index: int, width: int = 320, height: int = 240) -> Frame:
    picture = moving_picture(index, width, height)
    return Frame(picture, index, index * 3000, Fraction(1, 90_000), time.monotonic())
