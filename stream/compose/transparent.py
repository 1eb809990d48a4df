"""The objects alone, each picture with an opacity of its own, to be put over anything later."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from stream.compose import spill
from stream.compose.blur import blurred
from stream.compose.canvas import inverse
from stream.compose.colour_space import ColourSpace
from stream.compose.matte import union
from stream.compose.matting import Matting
from stream.compose.picture import copy_tags, plausible_aspect, to_native
from stream.compose.planes import Planes, mix, pixels
from stream.frames import Masks


class Transparent:
    """The cut-outs of one stream, made with the matte that effects have."""

    def __init__(self, pixel_aspect: float = 1.0) -> None:
        """pixel_aspect: width over height of a pixel."""
        self._pixel_aspect = plausible_aspect(pixel_aspect)
        self._matting = Matting()
        self._reformatter = VideoReformatter()

    def cut(self, picture: av.VideoFrame, masks: Masks | None, index: int) -> av.VideoFrame:
        """The picture as yuva420p of the same size, times and colour tags; not premultiplied.

        masks: of this picture. index: rises from picture to picture.
        Nothing of the background is in it, not even where it is transparent: players that know no
        opacity show that too. Without an object all of it is black.
        """
        native = to_native(picture, self._reformatter)
        space = ColourSpace.of(native)
        source = Planes.of(native)
        self._matting.see(source, index)
        result = av.VideoFrame(native.width, native.height, "yuva420p")
        copy_tags(native, result)
        out, opacity = Planes.of(result), pixels(result.planes[3])
        logits = union(masks)
        cutout = None if logits is None else self._matting.cutout(None, logits, index)
        if cutout is None:
            Planes.flat((space.black, 128, 128), native.width, native.height).copy_to(out)
            opacity[...] = 0
            return result
        own = Planes(*(plane.copy() for plane in source))
        spill.remove_uncovered(own, cutout.matte, cutout.contrast, space)
        near = blurred(source, inverse(cutout.matte), 0, self._pixel_aspect)
        # Where little of the object is left in a pixel, the object near by tells its colour better.
        mix(own, near, Planes(*cutout.matte.planes), out)
        np.copyto(opacity, cutout.matte.luma)
        return result
