"""The picture while effects are put on it, one over the other."""

import av
import cv2

from stream.compose.matte import Matte
from stream.compose.picture import blank_like
from stream.compose.planes import Plane, Planes, mix


class Canvas:
    """now: the planes as they are so far; the source's until something is drawn.

    copies: whole pictures written so far, on the canvas and for it, the one measure of cost that no
    machine changes.
    The source is never written to.
    """

    def __init__(self, source: av.VideoFrame) -> None:
        self._source = source
        self._result: av.VideoFrame | None = None
        self.now = Planes.of(source)
        self.copies = 0

    @property
    def is_source(self) -> bool:
        """Nothing has been drawn."""
        return self._result is None

    def result(self) -> av.VideoFrame:
        """A yuv420p picture; the source itself where nothing was drawn and it is one."""
        if self._result is None and self._source.format.name != "yuv420p":
            self.own()
        return self._source if self._result is None else self._result

    def own(self) -> Planes:
        """The planes to be drawn into, with the picture so far in them."""
        if self._result is None:
            source = self.now
            source.copy_to(self._begin())
            self.copies += 1
        return self.now

    def put(self, over: Planes, keep: Matte | None) -> None:
        """Show `over`, and of the picture so far as much as `keep` says; None: nothing."""
        former = self.now
        target = self._begin() if self._result is None else former
        if keep is None:
            over.copy_to(target)
        else:
            mix(former, over, Planes(*keep.planes), target)
        self.copies += 1

    def _begin(self) -> Planes:
        self._result = blank_like(self._source)
        self.now = Planes.of(self._result)
        return self.now


def inverse(matte: Matte) -> Matte:
    return Matte(_not(matte.luma), _not(matte.chroma))


def _not(plane: Plane) -> Plane:
    return cv2.bitwise_not(plane)  # type: ignore[return-value]


def scaled(matte: Matte, share: float) -> Matte:
    """Every opacity times a share, 0 to 1."""
    if share >= 1:
        return matte
    luma, chroma = (cv2.convertScaleAbs(p, alpha=share) for p in (matte.luma, matte.chroma))
    return Matte(luma, chroma)  # type: ignore[arg-type]
