"""Video encoders for live pictures: one picture in, one encoded picture out, at once.

Measured on 1280x720 at 30 a second (2 AVX2 cores): x264's preset medium, which aiortc uses, takes
25 to 36 ms a picture; superfast 6 to 7.5 ms for 0.2 to 0.5 dB, ultrafast 4 to 5.5 ms for 1 to 3 dB.
VP8 with cpu-used -12 and no denoising takes 6.5 to 8 ms.
"""

import functools
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, Protocol

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from stream.egress.colours import Colours, made_ready

log = logging.getLogger(__name__)

RATE = 90_000
"""RTP's video clock, in which pts are counted."""

CODECS = ("H264", "VP8")
"""In order of preference: docs/latency.md has the figures."""

ENDLESS = 2**16
"""Pictures between two keyframes that nobody asked for: 36 minutes at 30 a second."""

STEADY = 0.05
"""Changes of the bitrate by less than this share are left out: every estimate is that uncertain."""

VP8_MUCH_LOWER, VP8_LOWER, VP8_HIGHER = 0.5, 0.8, 1.5
VP8_SHORT_PAUSE, VP8_PAUSE = 1.0, 2.0
"""libvpx inside FFmpeg 8 takes no new bitrate: the encoder is made anew, which costs a keyframe.
So only when the target falls below, or rises above, these shares; and not before a pause in
seconds, the short one where it falls, none where it falls much."""


@dataclass(frozen=True, slots=True)
class Target:
    """bitrate: bits per second. cap: the most it can rise to. fast: less work and less quality.
    scale: of the picture's sides, 0 to 1."""

    bitrate: int
    cap: int
    fast: bool = False
    scale: float = 1.0

    def size(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Width and height of the encoded picture. They are even: libx264 takes no others, since
        two pixels a side share their colour."""
        width, height = (
            max(round(side * self.scale / 2) * 2, 2) for side in (picture.width, picture.height)
        )
        return width, height


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture: H.264 as Annex B, or a VP8 frame. size: its width and height."""

    data: bytes
    keyframe: bool
    size: tuple[int, int]


class Encoder(Protocol):
    def encode(
        self, picture: av.VideoFrame, pts: int, target: Target, keyframe: bool
    ) -> Encoded | None:
        """None when the encoder left the picture out. pts: in units of 1 / RATE, ever growing.

        Sizes may change from picture to picture. Raises av.FFmpegError.
        """

    def goes_on(self, picture: av.VideoFrame, target: Target) -> bool:
        """Whether a picture of this size can build on those before; else it takes a new encoder,
        and is a keyframe."""


def make(codec: str) -> Encoder:
    """codec: of CODECS."""
    return H264Encoder() if codec == "H264" else Vp8Encoder()


class _OneContext(ABC):
    """What both encoders share: a codec context that is made anew when it must be."""

    TELLS_COLOURS: ClassVar[bool]
    """Whether the stream can say which matrix its pictures have; else they are made BT.601."""

    def __init__(self) -> None:
        self._context: VideoCodecContext | None = None
        self._colours: Colours | None = None
        self._reformatter = VideoReformatter()
        self._made_for: Target | None = None
        self._made_at = 0.0

    def encode(
        self, picture: av.VideoFrame, pts: int, target: Target, keyframe: bool
    ) -> Encoded | None:
        goes_on, (width, height) = self.goes_on(picture, target), target.size(picture)
        colours = Colours.of(picture) if self.TELLS_COLOURS else None
        to_bt601 = not self.TELLS_COLOURS
        picture = made_ready(picture, (width, height), self._reformatter, to_bt601)
        context = self._context
        if context is None or colours != self._colours or not goes_on:
            context = self._open(width, height, target)
            if colours is not None:
                colours.tell(context)
            self._context, self._made_for, self._made_at = context, target, time.monotonic()
            self._colours = colours
        self._adapt(context, target)
        picture.pts, picture.time_base = pts, Fraction(1, RATE)
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = context.encode(picture)
        data = b"".join(bytes(packet) for packet in packets)
        is_keyframe = any(packet.is_keyframe for packet in packets)
        return Encoded(data, is_keyframe, (width, height)) if data else None

    def goes_on(self, picture: av.VideoFrame, target: Target) -> bool:
        context = self._context
        return (
            context is not None
            and (context.width, context.height) == target.size(picture)
            and not self._is_outdated(target)
        )

    @abstractmethod
    def _is_outdated(self, target: Target) -> bool: ...

    @abstractmethod
    def _open(self, width: int, height: int, target: Target) -> VideoCodecContext: ...

    def _adapt(self, context: VideoCodecContext, target: Target) -> None:  # noqa: B027 (VP8 has none)
        """Take on what can change while the encoder runs."""


class H264Encoder(_OneContext):
    """Constrained baseline, as every browser decodes it. The bitrate changes without a keyframe:
    x264 does that when it was opened with bit_rate = maxrate."""

    TELLS_COLOURS = True

    def __init__(self) -> None:
        super().__init__()
        self._name = h264_name()

    def encode(
        self, picture: av.VideoFrame, pts: int, target: Target, keyframe: bool
    ) -> Encoded | None:
        """With x264 from the first picture on that NVENC fails at: its driver allows so many
        encoders only, and a GPU may go away."""
        try:
            return super().encode(picture, pts, target, keyframe)
        except av.FFmpegError as error:
            if self._name == "libx264":
                raise
            log.warning("NVENC failed, x264 goes on: %s", error)
            self._name, self._context = "libx264", None
            return super().encode(picture, pts, target, keyframe)

    def _is_outdated(self, target: Target) -> bool:
        made = self._made_for
        return made is None or (made.fast, made.cap) != (target.fast, target.cap)

    def _open(self, width: int, height: int, target: Target) -> VideoCodecContext:
        name = self._name
        options = {"maxrate": str(target.cap), "bufsize": str(target.cap // 3), "forced-idr": "1"}
        options |= (
            {
                "preset": "ultrafast" if target.fast else "superfast",
                "tune": "zerolatency",
                "sc_threshold": "0",  # keyframes come when they are asked for
            }
            if name == "libx264"
            else NVENC
        )
        return _create(name, width, height, target.cap, options, profile="Baseline")

    def _adapt(self, context: VideoCodecContext, target: Target) -> None:
        now = context.bit_rate or target.cap
        if abs(target.bitrate - now) > STEADY * now:
            context.bit_rate = target.bitrate


class Vp8Encoder(_OneContext):
    """As WebRTC uses it: constant bitrate, one partition, pictures dropped never."""

    TELLS_COLOURS = False

    def _is_outdated(self, target: Target) -> bool:
        made = self._made_for
        if made is None or made.fast != target.fast:
            return True
        change = target.bitrate / made.bitrate
        rested = time.monotonic() - self._made_at
        return (
            change < VP8_MUCH_LOWER
            or (change < VP8_LOWER and rested > VP8_SHORT_PAUSE)
            or (change > VP8_HIGHER and rested > VP8_PAUSE)
        )

    def _open(self, width: int, height: int, target: Target) -> VideoCodecContext:
        rate = str(target.bitrate)
        options = {
            "minrate": rate,  # with maxrate = bit_rate this is constant bitrate
            "maxrate": rate,
            "bufsize": str(target.bitrate // 2),
            "deadline": "realtime",
            "cpu-used": "-16" if target.fast else "-12",
            "lag-in-frames": "0",
            "noise-sensitivity": "0",
            "static-thresh": "100",
            "undershoot-pct": "100",
            "overshoot-pct": "15",
            "qmin": "2",
            "qmax": "63",
        }
        return _create("libvpx", width, height, target.bitrate, options)


NVENC = {
    "preset": "p1",
    "tune": "ull",
    "rc": "cbr",
    "zerolatency": "1",
    "delay": "0",
    "no-scenecut": "1",
}
"""Not measured: no machine with NVENC was at hand."""


NVIDIA = Path("/dev/nvidiactl")


@functools.cache
def h264_name() -> str:
    """FFmpeg's name of the encoder: NVENC where it works, else x264. Tried once."""
    if not NVIDIA.exists() or "h264_nvenc" not in av.codecs_available:
        return "libx264"
    try:
        _create("h264_nvenc", 640, 480, 1_000_000, NVENC, profile="Baseline").open()
    except (av.FFmpegError, OSError) as error:
        log.info("no NVENC: %s", error)
        return "libx264"
    return "h264_nvenc"


def _create(
    name: str,
    width: int,
    height: int,
    bit_rate: int,
    options: Mapping[str, str],
    profile: str | None = None,
) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.bit_rate = bit_rate
    context.time_base, context.framerate = Fraction(1, RATE), Fraction(30)
    context.gop_size = ENDLESS
    # More threads finish a picture sooner only while the other cores have nothing to do.
    context.thread_count = 1
    context.options = dict(options)
    if profile is not None:
        context.profile = profile
    return context
