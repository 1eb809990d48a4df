"""Decoded pictures made ready for the compositor, and new ones of the same kind."""

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from stream.compose.colour_space import BT709, default_matrix, is_full_range

NATIVE = ("yuv420p", "yuvj420p")

MIN_PIXEL_ASPECT = 0.25
"""Narrower pixels, and wider than its inverse, are no format's but broken metadata."""


def plausible_aspect(pixel_aspect: float) -> float:
    """Itself, or 1 where it cannot be meant."""
    is_plausible = MIN_PIXEL_ASPECT <= pixel_aspect <= 1 / MIN_PIXEL_ASPECT
    return pixel_aspect if is_plausible else 1.0


def to_native(picture: av.VideoFrame, reformatter: VideoReformatter) -> av.VideoFrame:
    """The picture in one of the NATIVE formats; itself if it is in one already.

    Matrix and range stay as they are; RGB becomes limited range and the matrix that its height
    suggests. The caller brings the reformatter because the one inside a picture would be shared
    with other threads.
    """
    if picture.format.name in NATIVE:
        return picture
    full = is_full_range(picture)
    if picture.format.is_rgb or picture.format.has_palette:
        bt709 = default_matrix(picture.height) == BT709
        source_matrix, matrix = None, Colorspace.ITU709 if bt709 else Colorspace.ITU601
        source_range, target_range = None, ColorRange.MPEG
    else:
        # The same on both sides: the codes stay, whatever matrix they were made with.
        source_matrix = matrix = Colorspace.ITU601
        source_range = target_range = ColorRange.JPEG if full else ColorRange.MPEG
    native = reformatter.reformat(
        picture,
        format="yuv420p",
        src_colorspace=source_matrix,
        dst_colorspace=matrix,
        src_color_range=source_range,
        dst_color_range=target_range,
        interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
        threads=1,
    )
    if source_matrix is not None:
        native.colorspace = picture.colorspace
        native.color_range = ColorRange.JPEG if full else picture.color_range
    return native


def blank_like(picture: av.VideoFrame) -> av.VideoFrame:
    """A yuv420p picture of undefined content with the size, times and colour tags of another."""
    blank = av.VideoFrame(picture.width, picture.height, "yuv420p")
    copy_tags(picture, blank)
    return blank


def copy_tags(source: av.VideoFrame, target: av.VideoFrame) -> None:
    """Times, matrix, range and the rest.

    Only the range that the name yuvj420p implies becomes a tag, for yuv420p implies none.
    """
    target.pts, target.dts, target.duration = source.pts, source.dts, source.duration
    if source.time_base is not None:
        target.time_base = source.time_base
    target.colorspace = source.colorspace
    target.color_range = ColorRange.JPEG if is_full_range(source) else source.color_range
    target.color_trc = source.color_trc
    target.color_primaries = source.color_primaries
