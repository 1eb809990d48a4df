"""A frame, and the picture of it that a network sees."""

from fractions import Fraction

import av
import numpy as np

from stream.frames import Frame


def test_the_networks_picture_keeps_the_place_of_things_and_the_sources_size() -> None:
    rgb = np.zeros((120, 200, 3), np.uint8)
    rgb[:60, 100:] = (255, 0, 0)
    picture = av.VideoFrame.from_ndarray(rgb).reformat(format="yuv420p")
    frame = Frame(picture, index=7, pts=3, time_base=Fraction(1, 30))
    image = frame.image(64)
    assert image.rgb.shape == (64, 64, 3)
    assert (image.width, image.height, image.index) == (200, 120, 7)
    corner, opposite = image.rgb[5, 58].astype(int), image.rgb[58, 5].astype(int)
    assert np.abs(corner - (255, 0, 0)).max() < 12
    assert np.abs(opposite).max() < 12
