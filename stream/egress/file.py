"""Pictures and sound into a video file."""

import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from stream import media
from stream.compose.planes import Planes
from stream.egress.containers import container_of
from stream.egress.sound import CodedSound, CopiedSound, Sound
from stream.errors import MediaError
from stream.media import AudioPacket, VideoFormat


class VideoWriter:
    """Writes a video file whole or not at all.

    The file grows under a temporary name in the same folder and gets its own in `finish`.
    `abort` removes it. Leaving the `with` block does the one, leaving it by an exception the
    other.

    Pictures keep their times: exactly in MP4 and MOV, to the nearest millisecond in Matroska and
    WebM, which know nothing finer. H.264 with 4:2:0 chroma has even sizes only, so an odd picture
    gets its last column or row twice; WebM's VP9 takes any size.

    path: ends in .mp4, .mov, .mkv or .webm.
    video: of the pictures that will come.
    audio: the sound streams whose packets will come.
    crf: constant quality, 0 to 51, of H.264; VP9's 0 to 63 is scaled to it. Higher is smaller.
    preset: x264's name for how much work it takes over H.264.
    overwrite: an existing file may be replaced.
    alpha: pictures are yuva420p, with the opacity of each pixel; .webm only.

    Raises MediaError for a path that cannot be written, here and when the disk refuses later.
    """

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        audio: Sequence[av.AudioStream] = (),
        *,
        crf: int = 20,
        preset: str = "veryfast",
        overwrite: bool = False,
        alpha: bool = False,
    ) -> None:
        self.path = path
        self._alpha = alpha
        self._kind = container_of(path)
        check_writable(path, overwrite=overwrite)
        self._target = path.resolve()  # a link stays a link
        self._part = self._target.with_name(f".segstream-{secrets.token_hex(6)}.part")
        self._container: av.container.OutputContainer | None = None
        self._format = video
        try:
            with self._writing():
                os.close(os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                self._container = av.open(
                    media.url(self._part),
                    "w",
                    format=self._kind.muxer,
                    container_options=self._muxer_options(audio),
                )
                self._video = self._add_video(crf, preset)
                self._sound = {stream.index: self._add_sound(stream) for stream in audio}
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abort()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the written pictures."""
        return self._video.width, self._video.height

    def write(self, picture: av.VideoFrame) -> None:
        """Append a yuv420p picture of the promised size; its pts must be above the one before."""
        if not self._video.codec_context.is_open:
            self._tag_colours(picture)
        width, height = self.size
        if (picture.width, picture.height) != (width, height):
            picture = _padded(picture, width, height)
        picture.pict_type = 0  # else the encoder repeats the source's choice of key frames
        with self._writing():
            self._mux(self._video.encode(picture))

    def write_audio(self, packet: AudioPacket) -> None:
        """Append a packet of one of the sound streams, as demuxed; a picture must come first."""
        if packet.is_discard and not self._kind.negative_times:
            return  # what precedes the sound's start, only there to warm up the decoder
        with self._writing():
            self._mux(self._sound[packet.stream_index].packets(packet))

    def finish(self) -> None:
        """Complete the file and give it its name."""
        if self._container is None:
            return
        try:
            with self._writing():
                self._mux(self._video.encode(None))
                for sound in self._sound.values():
                    self._mux(sound.flush())
                self._container.close()
                self._container = None
                os.replace(self._part, self._target)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove what was written so far. May be called at any time and more than once."""
        # The name goes first: closing then finds no file to move the index in, and is quick.
        with suppress(FileNotFoundError):
            self._part.unlink()
        container, self._container = self._container, None
        if container is not None:
            with suppress(OSError, ValueError, av.FFmpegError):
                container.close()

    def _mux(self, packets: Sequence["av.Packet[av.VideoStream] | AudioPacket"]) -> None:
        assert self._container is not None
        self._container.mux(packets)

    def _muxer_options(self, audio: Sequence[av.AudioStream]) -> dict[str, str]:
        if self._kind.muxer not in ("mp4", "mov"):
            # Else a sound that starts early delays every picture.
            return {"avoid_negative_ts": "disabled"}
        # The start of each stream is kept in the movie's own unit: one that divides all of them.
        ticks = self._format.time_base.denominator
        movie = math.lcm(ticks, *(stream.rate for stream in audio if stream.rate))
        return {
            "movflags": "+faststart",
            "video_track_timescale": str(ticks),
            "movie_timescale": str(movie if movie < 2**31 else ticks),
        }

    def _add_video(self, crf: int, preset: str) -> av.VideoStream:
        assert self._container is not None
        video = self._format
        h264 = self._kind.video == "libx264"
        stream = self._container.add_stream(
            self._kind.video,
            rate=video.rate,
            width=video.width + (video.width % 2 if h264 else 0),
            height=video.height + (video.height % 2 if h264 else 0),
            time_base=video.time_base,
        )
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuva420p" if self._alpha else "yuv420p"
        context = stream.codec_context
        if video.sample_aspect_ratio:
            context.sample_aspect_ratio = video.sample_aspect_ratio
        if h264:
            context.options = {"crf": str(crf), "preset": preset}
        else:
            quality = str(round(crf * 63 / 51))
            context.options = {"crf": quality, "b": "0", "deadline": "realtime", "cpu-used": "6"}
        if self._alpha:
            stream.metadata["alpha_mode"] = "1"  # where players look
            context.options = {**context.options, "auto-alt-ref": "0"}  # a must, with alpha
        return stream

    def _tag_colours(self, picture: av.VideoFrame) -> None:
        context = self._video.codec_context
        context.color_range = picture.color_range
        context.colorspace = picture.colorspace
        context.color_primaries = picture.color_primaries
        context.color_trc = picture.color_trc

    def _add_sound(self, source: av.AudioStream) -> Sound:
        assert self._container is not None
        if source.codec_context.codec.canonical_name in self._kind.copied_audio:
            return CopiedSound(self._container, source)
        return CodedSound(self._container, source, self._kind.audio)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"cannot write {self.path}: {media.reason(error)}") from error


def check_writable(path: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Raise MediaError unless a file of this name can be put there, which is not the source."""
    container_of(path)
    try:
        trouble = _trouble(path, overwrite, source)
    except OSError as error:
        raise MediaError(f"cannot write {path}: {media.reason(error)}") from error
    if trouble:
        raise MediaError(f"cannot write {path}: {trouble}")


def _trouble(path: Path, overwrite: bool, source: Path | None) -> str | None:
    if path.is_dir():
        return "it is a folder; name a file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if path.exists():
        if source is not None and path.samefile(source):
            return "it is the input; name another file"
        if not path.is_file():
            return "it is not an ordinary file"
        if not overwrite:
            return "it exists; give --overwrite to replace it"
    if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
        return f"no permission to write into {path.parent}"
    return None


def _padded(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """With the last column and row repeated to width x height, at most one more than it has.

    The chroma planes of an odd picture cover that column and row already.
    """
    padded = av.VideoFrame(width, height, picture.format.name)
    source, target = Planes.of(picture), Planes.of(padded)
    right, below = width - picture.width, height - picture.height
    np.copyto(target.y, cv2.copyMakeBorder(source.y, 0, below, 0, right, cv2.BORDER_REPLICATE))
    np.copyto(target.u, source.u)
    np.copyto(target.v, source.v)
    padded.pts, padded.duration = picture.pts, picture.duration
    assert picture.time_base is not None
    padded.time_base = picture.time_base
    return padded
