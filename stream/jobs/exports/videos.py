"""Videos: with an effect, as black and white masks, and the objects alone on nothing."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange

from stream.compose.compositor import Compositor
from stream.compose.effects import Stack
from stream.compose.planes import Planes
from stream.compose.scene import Backgrounds
from stream.compose.transparent import Transparent
from stream.egress.file import VideoWriter
from stream.jobs.exports.base import Silent
from stream.jobs.exports.shown import Shown
from stream.media import AudioPacket, VideoFormat

BLACK, WHITE, GREY = 16, 235, 128
"""Codes of luma and chroma in the limited range (ITU-R BT.601)."""

CUTOUT_CRF = 24
"""Quality of the cut-out; its matte is coded with it."""


class _Video:
    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer
        self.finish = writer.finish
        self.abort = writer.abort

    def write_audio(self, packet: AudioPacket) -> None:
        self._writer.write_audio(packet)


class EffectVideo(_Video):
    """MP4 with H.264. audio: sound streams whose packets will come."""

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        audio: Sequence[av.AudioStream],
        stack: Stack,
        backgrounds: Backgrounds,
    ) -> None:
        self._compositor = Compositor(float(video.sample_aspect_ratio or 1))
        self._compositor.set_effects(stack, backgrounds)
        super().__init__(VideoWriter(path, video, audio))

    def write(self, shown: Shown) -> None:
        self._writer.write(self._compositor.compose(shown.picture, shown.masks))


class MaskVideo(_Video):
    """MP4 with H.264, white where any of the objects is and black elsewhere."""

    def __init__(self, path: Path, video: VideoFormat, audio: Sequence[av.AudioStream]) -> None:
        super().__init__(VideoWriter(path, video, audio))

    def write(self, shown: Shown) -> None:
        picture = av.VideoFrame(shown.picture.width, shown.picture.height, "yuv420p")
        planes = Planes.of(picture)
        planes.y[:] = np.where(shown.union, np.uint8(WHITE), np.uint8(BLACK))
        planes.u[:] = planes.v[:] = GREY
        picture.color_range = ColorRange.MPEG
        _copy_time(shown.picture, picture)
        self._writer.write(picture)


class Cutout(Silent):
    """WebM with VP9: the objects and their opacity, and nothing of what is around them."""

    def __init__(self, path: Path, video: VideoFormat) -> None:
        self._transparent = Transparent(float(video.sample_aspect_ratio or 1))
        self._writer = VideoWriter(path, video, crf=CUTOUT_CRF, alpha=True)
        self.finish = self._writer.finish
        self.abort = self._writer.abort

    def write(self, shown: Shown) -> None:
        self._writer.write(self._transparent.cut(shown.picture, shown.masks, shown.index))


def _copy_time(source: av.VideoFrame, target: av.VideoFrame) -> None:
    target.pts, target.duration = source.pts, source.duration
    assert source.time_base is not None
    target.time_base = source.time_base
