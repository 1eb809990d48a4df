"""Every effect against a picture of it that was looked at and kept.

`python tests/test_golden.py` draws them anew into golden.png: tiles of y over u and v, row by
row in the order of CASES. Look at it before it is committed.
"""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from picture_helpers import disc, masks

from stream.compose.compositor import Compositor
from stream.compose.effects import EFFECTS, Effect
from stream.compose.planes import Planes

GOLDEN = Path(__file__).parent / "golden.png"
WIDTH, HEIGHT = 64, 48
COLUMNS = 6
TOLERANCE = 2
"""Levels by which machines' SIMD may round otherwise."""

CASES = {
    **{name: (Effect(name, background="still"),) for name in EFFECTS},
    "blur object": (Effect("blur", 1.0, target="object"),),
    "blur both": (Effect("blur", 0.0, target="both"),),
    "overlay background": (Effect("overlay", 0.5, "#c02060", target="background"),),
    "contour red": (Effect("contour", 0.5, "#c02060"),),
    "colour object": (Effect("colour", colour="#c02060", target="object"),),
    "pixelate background": (Effect("pixelate", 1.0, target="background"),),
    "desaturate object": (Effect("desaturate", 1.0, target="object"),),
    "spotlight object": (Effect("spotlight", 1.0, target="object"),),
    "picture contain": (Effect("picture", background="still", fit="contain", position=(0, 1)),),
    "stack": (Effect("blur"), Effect("desaturate", 1.0, target="both"), Effect("contour")),
}


def source():
    """A bright ball with a dark spot before flat stripes of colour, in a few levels."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    y = (60 + columns // 8 % 2 * 40 + rows // 12 * 8).astype(np.uint8)
    u = np.repeat(np.array([90, 120, 150, 170], np.uint8), 8)[None].repeat(HEIGHT // 2, 0)
    v = np.repeat(np.array([170, 110, 90, 140], np.uint8), 6)[:, None].repeat(WIDTH // 2, 1)
    cv2.circle(y, (32, 24), 13, 200, -1, cv2.LINE_AA)
    cv2.circle(y, (28, 20), 3, 30, -1)
    u, v = u.copy(), v.copy()
    cv2.circle(u, (16, 12), 6, 110, -1)
    cv2.circle(v, (16, 12), 6, 155, -1)
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, pixels in zip(Planes.of(picture), (y, u, v), strict=True):
        plane[...] = pixels
    return picture


def drawn(stack):
    """uint8 [HEIGHT * 3 / 2, WIDTH]. The second picture, so that what is steadied over time is."""
    still = np.zeros((24, 48, 3), np.uint8)
    still[:, :24], still[12:, 24:] = (200, 160, 40), (30, 90, 220)
    compositor = Compositor()
    compositor.set_effects(stack, {"still": still})
    # The spot's mask and the ball's: two objects, where an effect has a colour for each.
    given = masks(disc(0.5, 0.5, 0.24), disc(0.44, 0.42, 0.06), ids=(1, 2))
    for _ in range(2):
        result = compositor.compose(source(), given)
    y, u, v = Planes.of(result)
    return np.vstack([y, np.hstack([u, v])])


def kept():
    sheet = cv2.imread(str(GOLDEN), cv2.IMREAD_GRAYSCALE)
    tall = HEIGHT * 3 // 2
    return {
        name: sheet[tall * (i // COLUMNS) :, WIDTH * (i % COLUMNS) :][:tall, :WIDTH]
        for i, name in enumerate(CASES)
    }


@pytest.mark.parametrize("name", CASES)
def test_effect_looks_as_it_did(name):
    apart = np.abs(drawn(CASES[name]).astype(int) - kept()[name])
    assert apart.max() <= TOLERANCE, f"{(apart > TOLERANCE).sum()} samples are another"


def test_every_case_looks_like_itself_alone():
    """A golden picture that equals another's, or the source, would let an effect do nothing."""
    pictures = {name: picture.tobytes() for name, picture in kept().items()}
    del pictures["video"]  # a still picture may be given to it: the same as "picture"
    assert len(set(pictures.values())) == len(pictures)


def draw_all():
    tall, lines = HEIGHT * 3 // 2, -(-len(CASES) // COLUMNS)
    sheet = np.zeros((tall * lines, WIDTH * COLUMNS), np.uint8)
    for i, stack in enumerate(CASES.values()):
        sheet[tall * (i // COLUMNS) :, WIDTH * (i % COLUMNS) :][:tall, :WIDTH] = drawn(stack)
    cv2.imwrite(str(GOLDEN), sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    draw_all()
