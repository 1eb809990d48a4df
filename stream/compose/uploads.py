"""The backgrounds that one session was given, and those that its effects use."""

import itertools
from collections.abc import Iterable, Mapping
from typing import cast

import cv2

from stream.compose import backgrounds, moving
from stream.compose.effects import Stack
from stream.compose.scene import Picture, Video
from stream.errors import LimitError
from stream.limits import KEPT_SIDE, MAX_UPLOAD_MEMORY, MAX_UPLOADS

Background = Picture | Video
Used = dict[str | None, Background | None]
"""By the names that the effects of one stack give."""


class Uploads:
    """kept: the newest, by the names that effects call them by."""

    def __init__(self) -> None:
        self.kept: dict[str, Background] = {}
        self._used: Used = {}
        self._numbers = itertools.count(1)

    def add(self, background: Background) -> str:
        """Keep one more and return its name; older ones make room, beyond MAX_UPLOADS and
        MAX_UPLOAD_MEMORY."""
        name = f"upload-{next(self._numbers)}"
        self.kept[name] = background
        while len(self.kept) > MAX_UPLOADS or (
            len(self.kept) > 1 and _size(self.kept.values()) > MAX_UPLOAD_MEMORY
        ):
            del self.kept[next(iter(self.kept))]
        return name

    def choose(self, stack: Stack, kept: Mapping[str, Background]) -> Used:
        """What a stack uses: of `kept`, of the program's own, and of what the stack before it
        used, which newer uploads may have pushed out. Raises EffectError, LimitError."""
        used: Used = {}
        for name in {effect.background for effect in stack if effect.background is not None}:
            used[name] = self._used.get(name, kept.get(name))
            if used[name] is None:
                used[name] = backgrounds.load(name)
        if (size := _size(used.values())) > MAX_UPLOAD_MEMORY:
            raise LimitError(
                f"the backgrounds of these effects take {size >> 20} MiB decoded; at most "
                f"{MAX_UPLOAD_MEMORY >> 20} may: take one video, or shorter ones"
            )
        return used

    def use(self, used: Used) -> None:
        """They are shown from now on."""
        self._used = used


def decode(data: bytes) -> Background:
    """A picture or video of bounded size. Raises MediaError, LimitError."""
    if moving.is_video(data):
        return moving.load(data)
    picture = backgrounds.decode(data)
    height, width, _ = picture.shape
    scale = KEPT_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cast(Picture, cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _size(found: Iterable[Background | None]) -> int:
    """Bytes that they take."""
    arrays = (each[0] if isinstance(each, tuple) else each for each in found)
    return sum(array.nbytes for array in arrays if array is not None)
