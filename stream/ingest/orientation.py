"""Turning pictures the way the camera was held."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer

FILTERS: dict[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = {
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}
"""By the signs of a, b, c, d of a display matrix (ISO/IEC 14496-12, 8.5.3): a pixel at x, y is
shown at a x + c y, b x + d y."""


UNTURNED = (1, 0, 0, 1)


class Upright:
    """Gives pictures as a person sees them: of the first one's size, each turned and mirrored as
    its display matrix asks. Angles between the right ones are ignored."""

    def __init__(self, first: av.VideoFrame) -> None:
        self._signs = _matrix_signs(first) or UNTURNED
        self._filters = FILTERS.get(self._signs, ())
        self.turned = any(name == "transpose" for name, _ in self._filters)
        """Width and height of the first picture are swapped."""
        width, height, name = _kind(first)
        self._wanted = (height, width, name) if self.turned else (width, height, name)
        self._graph: Graph | None = None
        self._graph_takes: tuple[int, int, str] | None = None
        self._first = _kind(first)

    def is_for(self, picture: av.VideoFrame) -> bool:
        """Whether a picture is like the first one, and is to be turned like it."""
        return _kind(picture) == self._first and _matrix_signs(picture) in (None, self._signs)

    def aspect(self, sample_aspect_ratio: Fraction | None) -> Fraction | None:
        """The pixels' aspect ratio after the turn; None stays None."""
        if not sample_aspect_ratio:
            return None
        return 1 / sample_aspect_ratio if self.turned else sample_aspect_ratio

    def turn(self, picture: av.VideoFrame) -> av.VideoFrame:
        """A new picture, or the same one where nothing is to be done."""
        signs = _matrix_signs(picture)
        if signs is not None and signs != self._signs:  # the camera was turned in mid-recording
            self._signs, self._filters = signs, FILTERS.get(signs, ())
            self._graph = None
        if self._filters:
            picture = self._filtered(picture)
        if _kind(picture) != self._wanted:
            picture = picture.reformat(*self._wanted)
        return picture

    def _filtered(self, picture: av.VideoFrame) -> av.VideoFrame:
        if self._graph is None or self._graph_takes != _kind(picture):
            self._graph, self._graph_takes = self._build(picture), _kind(picture)
        self._graph.vpush(picture)
        return self._graph.vpull()

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        nodes = [
            graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format,
                time_base=picture.time_base,
            ),
            *(graph.add(name, arguments or None) for name, arguments in self._filters),
            # Else the matrix stays on the turned picture and somebody turns it again.
            graph.add("sidedata", "mode=delete:type=DISPLAYMATRIX"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes)
        graph.configure()
        return graph


class StreamUpright:
    """The same for a stream, whose pictures may be of another size, or turned otherwise, from any
    one on: they keep their sizes."""

    def __init__(self) -> None:
        self._upright: Upright | None = None

    def turn(self, picture: av.VideoFrame) -> av.VideoFrame:
        """As Upright's."""
        if self._upright is None or not self._upright.is_for(picture):
            self._upright = Upright(picture)
        return self._upright.turn(picture)


def _kind(picture: av.VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def _matrix_signs(picture: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """None where it has no matrix, which some formats tell with key pictures only."""
    # Not picture.side_data: that is kept in the picture, and refers to it, so that the picture and
    # what has grown on it (threads that convert it) would wait for the garbage collector.
    side_data = cast(Mapping[str, bytes], cast(Any, SideDataContainer)(picture))
    if "DISPLAYMATRIX" not in side_data:
        return None
    matrix = np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)
    a, b, c, d = (int(np.sign(matrix[i])) for i in (0, 1, 3, 4))
    return a, b, c, d
