"""A video as background, played over and over at its own speed."""

from collections.abc import Iterator
from io import BytesIO
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from stream import limits
from stream.compose.backdrop import MIDDLE, PLACED
from stream.compose.colour_space import ColourSpace
from stream.compose.planes import Planes
from stream.errors import EffectError, LimitError, MediaError


def is_video(data: bytes) -> bool:
    """Whether a file begins as MP4, MOV, Matroska or WebM does."""
    return _demuxer(data) is not None


def _demuxer(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return "mov"
    return "matroska" if data.startswith(b"\x1aE\xdf\xa3") else None


def load(data: bytes) -> tuple[NDArray[np.uint8], float]:
    """Every picture of a video file, uint8 [N, H, W, 3] RGB, and how many there are a second.

    Decoded once and kept small, so that a live stream never waits for a decoder: at most
    limits.MAX_BACKGROUND_PICTURES of limits.BACKGROUND_VIDEO_SIDE. Raises LimitError, MediaError.
    """
    if len(data) > limits.MAX_BACKGROUND:
        raise LimitError(
            f"background is {len(data)} bytes; at most {limits.MAX_BACKGROUND} are taken"
        )
    # Never by FFmpeg's guess, which goes by all of the file: SDP and DASH open what they name.
    if (demuxer := _demuxer(data)) is None:
        raise MediaError("background video is neither MP4, MOV, Matroska nor WebM")
    try:
        with av.open(BytesIO(data), "r", format=demuxer) as container:
            pictures = list(_pictures(container))
            rate = float(container.streams.video[0].average_rate or 25)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise MediaError("background video is damaged and cannot be decoded") from error
    if not pictures:
        raise MediaError("background video has no pictures")
    return np.stack(pictures), min(max(rate, 1.0), 120.0)


def _pictures(container: av.container.InputContainer) -> Iterator[NDArray[np.uint8]]:
    stream = container.streams.video[0]
    size: tuple[int, int] | None = None
    if stream.codec_context is None:
        raise MediaError("background video is of a codec that is not known")
    _check_size(stream.width, stream.height)  # before a decoder makes room for it
    stream.codec_context.options = {"max_pixels": str(limits.MAX_SIDE**2)}  # nor for a later one
    for count, picture in enumerate(container.decode(stream)):
        if count >= limits.MAX_BACKGROUND_PICTURES:
            return
        _check_size(picture.width, picture.height)
        if size is None:
            scale = min(1.0, limits.BACKGROUND_VIDEO_SIDE / max(picture.width, picture.height))
            size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
        rgb = picture.reformat(*size, "rgb24", interpolation="BILINEAR").to_ndarray()
        yield rgb.astype(np.uint8, copy=False)


def _check_size(width: int, height: int) -> None:
    if max(width, height) > limits.MAX_SIDE:
        raise LimitError(f"background has over {limits.MAX_SIDE} pixels a side")


class Moving:
    """pictures: uint8 [N, H, W, 3] RGB. rate: of them a second."""

    def __init__(
        self,
        pictures: NDArray[np.uint8],
        rate: float,
        fit: str = "cover",
        position: tuple[float, float] = MIDDLE,
    ) -> None:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or not pictures.size:
            raise EffectError("effect 'video' needs a background video; choose one")
        self._pictures = pictures
        self._rate = rate
        self._place = PLACED[fit]
        self._position = position
        self._kept: tuple[tuple[int, int, int, ColourSpace], Planes] | None = None

    def planes(
        self, width: int, height: int, space: ColourSpace, pixel_aspect: float, time: float
    ) -> Planes:
        number = int(time * self._rate) % len(self._pictures)
        key = (number, width, height, space)
        if self._kept is None or self._kept[0] != key:
            rgb = self._place(
                cast(NDArray[np.uint8], self._pictures[number]),
                width,
                height,
                pixel_aspect,
                self._position,
            )
            self._kept = key, space.planes(rgb)
        return self._kept[1]
