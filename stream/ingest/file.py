"""Pictures and sound from a video file."""

import os
import stat
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
from av.stream import Disposition

from stream import limits, media
from stream.errors import LimitError, MediaError
from stream.frames import Frame
from stream.ingest.orientation import Upright
from stream.media import AudioPacket, VideoFormat, VideoPacket

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,h264,hevc,mpegvideo,ivf,mxf,nut,"
    "yuv4mpegpipe,dv,mp3,wav,flac,aac,aiff"
)
"""Demuxers that read one file of pictures or sound: no playlists, which open what they name."""

BROADCAST = ("mpegts", "mpeg")
"""Formats made for lossy channels: they start at any time and in the middle of a picture, and
damage in them is concealed rather than reported. Their clock is moved to start at 0."""

MISSING_END = Fraction(1)
"""A file that ends so much earlier than its header says is cut off."""

GUESSED_RATE = Fraction(30)


class VideoFile:
    """A video file, read once from its first picture to its last.

    Iterating gives a Frame for every picture and the packets of the sound streams, the first
    picture before all else and the rest in the file's order. Pictures are turned the way a
    person sees them and have the first one's size. Their times are the file's own; where two are
    equal the second is moved by one tick. Packets and sound streams are gone with `close`.

    format: of the pictures.
    audio: the sound streams whose codec is known.
    start: time of the first picture, in seconds.
    duration: seconds, as the header says; None when it does not.
    frame_count: pictures, as the header says or the duration lets expect; None when unknown.

    Raises MediaError when the file cannot be read, has no picture, is damaged or is cut off,
    and LimitError for a picture larger than limits.MAX_SIDE.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = _open(path)
        try:
            self._stream = _video_stream(self._container, path)
            self._check_size(self._stream.width, self._stream.height)
            # What the header does not tell, as of a picture later on, the decoder refuses: decoded
            # first, one of 16000x16000 takes a gigabyte.
            self._stream.codec_context.options = {"max_pixels": str(limits.MAX_SIDE**2)}
            self.audio = tuple(s for s in self._container.streams.audio if s.codec_context)
            self._rate = self._stream.average_rate or self._stream.guessed_rate or GUESSED_RATE
            self._broadcast = self._container.format.name in BROADCAST
            self._shift = self._clock_shift()
            self._frames_read = 0
            self._last_pts: int | None = None
            self._upright: Upright | None = None
            items = self._read()
            first, sound = self._first_picture(items)
            self.format = self._format_of(first)
            self.start = first.pts * first.time_base
            self._items = chain([first], sound, items)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame | AudioPacket]:
        return self._items

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    @property
    def time_base(self) -> Fraction:
        return self._stream.time_base or Fraction(1, av.time_base)

    @property
    def duration(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration is not None:
            return float(stream.duration * self.time_base)
        return container.duration / av.time_base if container.duration is not None else None

    @property
    def frame_count(self) -> int | None:
        if self._stream.frames:
            return self._stream.frames
        return round(self.duration * self._rate) if self.duration is not None else None

    def sound(self) -> Iterator[AudioPacket | None]:
        """The packets of the first sound stream once more, for who needs them sooner than the file
        has them, and None for each packet of anything else. Ends where the file is damaged."""
        if not self.audio:
            return
        with _open(self.path) as container:
            wanted = container.streams[self.audio[0].index]
            try:
                for packet in container.demux():
                    if packet.stream is wanted and packet.size:
                        yield self._shifted(cast(AudioPacket, packet))
                    else:
                        yield None
            except av.FFmpegError:
                return

    def _first_picture(
        self, items: Iterator[Frame | AudioPacket]
    ) -> tuple[Frame, list[AudioPacket]]:
        sound: list[AudioPacket] = []
        for item in items:
            if isinstance(item, Frame):
                return item, sound
            sound.append(item)
        raise MediaError(f"{self.path} holds no picture that can be decoded")

    def _format_of(self, first: Frame) -> VideoFormat:
        assert self._upright is not None
        aspect = self._upright.aspect(self._stream.sample_aspect_ratio)
        return VideoFormat(first.width, first.height, first.time_base, self._rate, aspect)

    def _clock_shift(self) -> Fraction:
        if not self._broadcast:
            return Fraction(0)
        return Fraction(self._container.start_time or 0, av.time_base)

    def _read(self) -> Iterator[Frame | AudioPacket]:
        packets = self._container.demux()
        read, end = 0, Fraction(0)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                raise self._damaged(media.reason(error)) from error
            if packet.pts is not None and packet.time_base:
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream is self._stream:
                self._check_intact(packet)
                read += packet.size > 0 or packet.dts is not None
                yield from self._decode(cast(VideoPacket, packet))
            elif packet.stream in self.audio and packet.size:
                self._check_intact(packet)
                yield self._shifted(cast(AudioPacket, packet))
        self._check_complete(read, end)

    def _decode(self, packet: VideoPacket) -> Iterator[Frame]:
        try:
            pictures = packet.decode()
        except av.FFmpegError as error:
            # A recording may begin between key frames: what precedes the first one is no loss.
            if self._broadcast or (self._frames_read == 0 and packet.size):
                return
            raise self._damaged(media.reason(error)) from error
        for picture in pictures:
            yield self._frame(picture)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        self._check_size(picture.width, picture.height)
        pts = self._pts(picture)
        if self._upright is None:
            self._upright = Upright(picture)
        turned = self._upright.turn(picture)
        turned.pts, turned.time_base = pts, self.time_base
        frame = Frame(turned, self._frames_read, pts, self.time_base, time.monotonic())
        self._frames_read += 1
        self._last_pts = pts
        return frame

    def _check_size(self, width: int, height: int) -> None:
        if max(width, height) > limits.MAX_SIDE:
            raise LimitError(
                f"{self.path} has pictures of {width}x{height}; "
                f"the longest side may be {limits.MAX_SIDE} pixels"
            )

    def _pts(self, picture: av.VideoFrame) -> int:
        pts = picture.pts if picture.pts is not None else picture.dts
        tick = max(1, round(1 / (self._rate * self.time_base)))
        if pts is None:
            return 0 if self._last_pts is None else self._last_pts + tick
        pts -= round(self._shift / self.time_base)
        return pts if self._last_pts is None else max(pts, self._last_pts + 1)

    def _shifted(self, packet: AudioPacket) -> AudioPacket:
        if self._shift and packet.time_base:
            ticks = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        return packet

    def _check_intact(self, packet: "av.Packet[Any]") -> None:
        if packet.is_corrupt and not self._broadcast:
            raise self._damaged("the file is cut off or damaged there")

    def _check_complete(self, read: int, end: Fraction) -> None:
        # MP4's index names every picture; Matroska's header says how long it all lasts.
        indexed = len(self._stream.index_entries)
        if read < indexed:
            raise self._damaged(f"its index promises {indexed} pictures: the file is cut off")
        container = self._container
        matroska = container.format.name.startswith("matroska")
        promised = Fraction(container.duration or 0, av.time_base)
        if matroska and promised - end > MISSING_END:
            raise self._damaged(f"its header promises {float(promised):.2f} s: the file is cut off")

    def _damaged(self, why: str) -> MediaError:
        if self._last_pts is None:
            return MediaError(f"{self.path} cannot be read: {why}")
        got = float(self._last_pts * self.time_base)
        return MediaError(
            f"{self.path} can be read up to {got:.2f} s ({self._frames_read} pictures) only; {why}"
        )


def length(path: Path) -> tuple[Fraction, int]:
    """Seconds and pictures of a video file, counted from its packets, whatever its header says.

    Nothing is decoded. Raises MediaError.
    """
    first, end, count = None, Fraction(0), 0
    with _open(path) as container:
        stream = _video_stream(container, path)
        tick = 1 / (stream.average_rate or stream.guessed_rate or GUESSED_RATE)
        base = stream.time_base or Fraction(1, av.time_base)
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                count += 1
                time = packet.pts if packet.pts is not None else packet.dts
                if time is None:
                    end += tick
                    continue
                first = time * base if first is None else min(first, time * base)
                end = max(end, time * base + (packet.duration * base if packet.duration else tick))
        except av.FFmpegError as error:
            raise MediaError(f"{path} cannot be read: {media.reason(error)}") from error
    return max(end - (first or 0), Fraction(0)), count


def _open(path: Path) -> "av.container.InputContainer":
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(f"cannot read {path}: {media.reason(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise MediaError(f"cannot read {path}: it is a folder; name a video file")
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise MediaError(f"cannot read {path}: the file is empty")
    if not os.access(path, os.R_OK):
        raise MediaError(f"cannot read {path}: permission denied")
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(media.url(path), container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise MediaError(
            f"{path} is no video that can be read: it is of another kind, damaged or cut off"
        ) from error


def _video_stream(container: "av.container.InputContainer", path: Path) -> av.VideoStream:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # a song's cover
            continue
        if stream.codec_context is None:
            raise MediaError(f"{path} holds video of a codec that is not known")
        return stream
    if container.streams.audio:
        raise MediaError(f"{path} holds sound but no video")
    raise MediaError(f"{path} holds no video")
