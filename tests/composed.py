"""Compositors with one effect, and what they should make, in floats."""

import numpy as np
from picture_helpers import BT601, BT709, scene

from stream.compose.compositor import Compositor
from stream.compose.effects import Effect
from stream.compose.matting import Matting
from stream.compose.planes import Planes

BACKGROUND = scene(400, 300, seed=9)

CLIP = np.stack([scene(96, 64, seed=seed) for seed in range(3)]), 10.0

BACKGROUNDS = {None: None, "still": BACKGROUND, "clip": CLIP}

USES = {"picture": "still", "video": "clip"}

KINDS = [
    (640, 480, False, BT601),
    (641, 359, False, BT601),
    (359, 641, True, BT709),
    (1280, 720, False, BT709),
]


def compositor(name, strength=0.5, aspect=1.0, **fields):
    made = Compositor(aspect)
    made.set_effects((Effect(name, strength, background=USES.get(name), **fields),), BACKGROUNDS)
    return made


def cutout(source, *logits):
    """The matte, and what is taken out of the edge, of a first picture."""
    matting = Matting()
    matting.see(Planes.of(source), 1)
    return matting.cutout(None, np.maximum.reduce(logits), 1)


def shares(matte):
    return [plane.astype(np.float64) / 255 for plane in matte.planes]


def mixture(front, back, opacities):
    return [f * a + b * (1 - a) for f, b, a in zip(front, back, opacities, strict=True)]


def assert_close(frame, expected, most, mean):
    for plane, other in zip(Planes.of(frame), expected, strict=True):
        difference = np.abs(plane - other)
        assert difference.max() <= most
        assert difference.mean() <= mean
