"""Colours of live pictures, made such that whoever watches sees them right.

WebRTC has no negotiation of colours: a decoder goes by what the stream itself says. Chromium takes
H.264's range and matrix from its VUI (ITU-T H.264 annex E) and guesses where there is none; VP8 is
BT.601 (RFC 6386 section 9.2) and of limited range for everybody. Few players heed a full range.
"""

from dataclasses import dataclass

import av
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from stream.compose.colour_space import is_full_range, matrix_of

SWSCALE = {6: int(Colorspace.ITU601), 10: int(Colorspace.BT2020)}
"""Matrices that swscale knows by another number than ITU-T H.273 has for them."""


@dataclass(frozen=True, slots=True)
class Colours:
    """What the codes of a picture of limited range stand for, in the numbers of ITU-T H.273."""

    matrix: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "Colours":
        """A matrix that is not named is the one that the compositor takes it for."""
        primaries, transfer = int(picture.color_primaries), int(picture.color_trc)
        return cls(matrix_of(picture), primaries, transfer)

    @property
    def swscale(self) -> int:
        """The matrix's number in swscale, where it is converted."""
        return SWSCALE.get(self.matrix, self.matrix)

    def tell(self, context: VideoCodecContext) -> None:
        """Let an encoder that is not open yet write it into its stream."""
        context.color_range, context.colorspace = ColorRange.MPEG, self.matrix
        context.color_primaries, context.color_trc = self.primaries, self.transfer


def made_ready(
    picture: av.VideoFrame,
    size: tuple[int, int],
    reformatter: VideoReformatter,
    to_bt601: bool,
) -> av.VideoFrame:
    """The picture as yuv420p of limited range and of a size; itself if it is that already.

    to_bt601: change its matrix, for a codec that cannot tell another.
    """
    source = Colours.of(picture).swscale
    target = Colorspace.ITU601 if to_bt601 else source
    full = is_full_range(picture)
    is_right = (picture.width, picture.height, picture.format.name) == (*size, "yuv420p")
    if is_right and not full and source == target:
        return picture
    return reformatter.reformat(
        picture,
        *size,
        format="yuv420p",
        src_colorspace=source,
        dst_colorspace=target,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
