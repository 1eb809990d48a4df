"""Pictures as JPEG, for viewers that know nothing better."""

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace

from stream.compose.colour_space import is_full_range
from stream.egress.colours import Colours

TIME_BASE = Fraction(1, 30)
"""Means nothing: the encoder only wants times that rise."""


class JpegEncoder:
    """Encodes one picture after the other; width: at most that of the JPEG, the shape is kept.

    quality: FFmpeg's q, 2 (best) to 31.
    """

    def __init__(self, width: int, quality: int = 5) -> None:
        self._width = width
        self._quality = quality
        self._size = (0, 0)
        self._count = 0
        self._context: av.VideoCodecContext | None = None

    def encode(self, picture: av.VideoFrame) -> bytes:
        scale = min(self._width / picture.width, 1.0)
        size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
        # Straight from one YUV to the other; JPEG's are BT.601 of full range (JFIF).
        full = is_full_range(picture)
        small = picture.reformat(
            *size,
            format="yuvj420p",
            src_colorspace=Colours.of(picture).swscale,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        if self._context is None or size != self._size:
            self._context, self._size = self._open(size), size
        self._count += 1
        small.pts, small.time_base = self._count, TIME_BASE
        return b"".join(bytes(packet) for packet in self._context.encode(small))

    def _open(self, size: tuple[int, int]) -> av.VideoCodecContext:
        context = av.CodecContext.create("mjpeg", "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height = size
        context.pix_fmt, context.time_base = "yuvj420p", TIME_BASE
        context.qmin = context.qmax = self._quality
        context.thread_count = 1
        return context
