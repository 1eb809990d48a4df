"""What a person points at or names: points, boxes and masks, in pixels of the source picture, and
words.

x grows to the right, y downwards; (0, 0) is the outer corner of the first pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.errors import PromptError


@dataclass(frozen=True, slots=True)
class Point:
    """A click: `positive` is on the object, otherwise on what does not belong to it."""

    object_id: int
    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle drawn tightly around the object; replaces the object's earlier points."""

    object_id: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """The object's exact mask: bool [height, width] of the source picture."""

    object_id: int
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Text:
    """What the object is called: all that the word names in the picture (stream.track.words)."""

    object_id: int
    word: str


Prompt = Point | Box | MaskPrompt | Text


def check(prompt: Prompt, width: int, height: int) -> None:
    """Raise PromptError unless the prompt lies within a picture of width x height.

    Whether a word is known is the network's to say.
    """
    match prompt:
        case Point(_, x, y):
            if not (0 <= x <= width and 0 <= y <= height):
                raise PromptError(
                    f"point ({x:g}, {y:g}) lies outside the picture; "
                    f"x must be within 0..{width} and y within 0..{height}"
                )
        case Box(_, x0, y0, x1, y1):
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise PromptError(
                    f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) is empty or lies outside the picture; "
                    f"wanted 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
                )
        case MaskPrompt(_, mask):
            if mask.shape != (height, width) or mask.dtype != np.bool_:
                raise PromptError(
                    f"mask is {mask.dtype} {mask.shape}; wanted bool ({height}, {width}), "
                    "the size of the picture"
                )
            if not mask.any():
                raise PromptError("mask is empty; mark at least one pixel")
