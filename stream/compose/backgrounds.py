"""Background pictures: those that come with the program, and those that people upload."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream import limits
from stream.compose import image_header
from stream.errors import EffectError, LimitError, MediaError

FOLDER = Path(__file__).parents[1] / "assets" / "backgrounds"


def names() -> tuple[str, ...]:
    """The pictures that come with the program, in alphabetical order."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.jpg")))


def path(name: str) -> Path:
    """The JPEG file of a picture of `names`. Raises EffectError when there is none."""
    if name not in names():
        raise EffectError(f"background {name!r} is unknown; known are {', '.join(names())}")
    return FOLDER / f"{name}.jpg"


def load(name: str) -> NDArray[np.uint8]:
    """A picture of `names` as RGB, uint8 [H, W, 3]. Raises EffectError when there is none."""
    return decode(path(name).read_bytes())


def decode(data: bytes) -> NDArray[np.uint8]:
    """A PNG, JPEG or WebP file as RGB, uint8 [H, W, 3], upright; transparency is dropped.

    Raises LimitError when the file or the picture is too large, before a pixel is decoded,
    and MediaError when it is no such picture or is damaged.
    """
    if len(data) > limits.MAX_BACKGROUND:
        raise LimitError(
            f"background is {len(data)} bytes; at most {limits.MAX_BACKGROUND} are taken"
        )
    width, height = image_header.size(data)
    if max(width, height) > limits.MAX_SIDE:
        raise LimitError(
            f"background is {width} x {height} pixels; at most {limits.MAX_SIDE} a side are taken"
        )
    if data.count(b"\xff\xda") > limits.MAX_JPEG_SCANS and data.startswith(b"\xff\xd8"):
        raise LimitError(f"JPEG background has more than {limits.MAX_JPEG_SCANS} scans")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise MediaError("background picture is damaged and cannot be decoded")
    return cast(NDArray[np.uint8], cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
