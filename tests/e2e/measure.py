"""What a returned picture shows, against the camera's picture of the same moment.

Pictures are uint8 [H, W, 3] RGB of equal size. Places and regions are fractions of the picture.
"""

import cv2
import numpy as np

PATCH = 0.03
"""Half the side of the square that is looked at around a place, as a share of the width."""


def chroma(picture, place):
    """Mean (Cr, Cb) around a place: float64 [2]."""
    height, width = picture.shape[:2]
    x, y, half = place[0] * width, place[1] * height, PATCH * width
    left, top = int(max(0, x - half)), int(max(0, y - half))
    patch = picture[top : int(y + half) + 1, left : int(x + half) + 1]
    return _chroma(patch).reshape(-1, 2).mean(axis=0)


def tint(output, source, place, colour):
    """How far the chroma at a place went from the source's to the colour's: 0 not, 1 all the way.

    colour: "#rrggbb".
    """
    was, goal = chroma(source, place), _chroma(np.array([[_rgb(colour)]], np.uint8))[0, 0]
    way = goal - was
    return float((chroma(output, place) - was) @ way / (way @ way))


def tinted_share(output, source, colour):
    """The share of the picture's area that took on the colour."""
    was, now = (cv2.blur(_chroma(picture), (9, 9)) for picture in (source, output))
    way = _chroma(np.array([[_rgb(colour)]], np.uint8))[0, 0] - was
    went = ((now - was) * way).sum(axis=2) / np.maximum((way * way).sum(axis=2), 1)
    return float((went > 0.25).mean())


def change(output, source, place):
    """The distance of the chroma at a place from the source's."""
    return float(np.linalg.norm(chroma(output, place) - chroma(source, place)))


def detail(picture, region):
    """Local variance of the luma in a region (left, top, right, bottom)."""
    height, width = picture.shape[:2]
    left, top, right, bottom = region
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    # At half size: what the video codec takes away of the finest detail is not the question.
    luma = cv2.resize(luma, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(float)
    variance = cv2.blur(luma * luma, (7, 7)) - cv2.blur(luma, (7, 7)) ** 2
    rows = slice(int(top * height / 2), int(bottom * height / 2))
    columns = slice(int(left * width / 2), int(right * width / 2))
    return float(variance[rows, columns].mean())


def _chroma(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float)


def _rgb(colour):
    return [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
