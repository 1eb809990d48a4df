"""Pictures that are as hard to encode as a camera's: a soft texture that moves."""

import time
from fractions import Fraction

import av
import cv2
import numpy as np

from stream.frames import Frame


def moving_picture(index: int, width: int = 320, height: int = 240) -> av.VideoFrame:
    """yuv420p, 30 a second."""
    noise = np.random.default_rng(7).integers(0, 255, (height * 3 // 2, width * 2), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (7, 7), 0), None, 20, 230, cv2.NORM_MINMAX)
    at = index * 3 % width
    picture = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(texture[:, at : at + width]), "yuv420p"
    )
    picture.pts, picture.time_base = index * 3000, Fraction(1, 90_000)
    return picture


def moving_frame(index: int, width: int = 320, height: int = 240) -> Frame:
    picture = moving_picture(index, width, height)
    return Frame(picture, index, index * 3000, Fraction(1, 90_000), time.monotonic())
