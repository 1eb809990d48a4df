"""A camera's sound in the process that reads it: decoded into frames of one form.

Nothing that is wrong with it ends anything: what cannot be decoded is left out.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import av

from stream.ingest.file import VideoFile
from stream.ingest.reader_messages import SOUND_RATE, SOUND_SAMPLES, Sound
from stream.limits import MAX_EARLY_SOUND, MAX_HELD_BYTES, MAX_SOUND_CHANNELS, MAX_SOUND_RATE
from stream.media import AudioPacket

INTERLEAVED = 1.0
"""Seconds by which a film may hold its sound later than the pictures it belongs to: phones write a
second of either at a time."""

PACKETS_AT_ONCE = 100
"""Of a file, read for each picture to find its sound: a few are enough, and sound that is nowhere
must not hold up the pictures."""

EARLY = 0.5
"""Seconds that a film's sound may be told before its picture: it must not come late where there are
but few pictures a second."""


LONGEST_TAIL = 1.0
"""Seconds that a film's sound may go on after its last picture: by then no camera is called
frozen."""


class SoundDecoder:
    """Of one stream, from its first packet on."""

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def sounds(self, packet: AudioPacket, later: float = 0.0) -> Iterator[Sound]:
        """The next whole frames. later: seconds to be added to their times."""
        try:
            for frame in packet.decode():
                for sound in self._resample(frame):
                    if sound.pts is not None and sound.time_base is not None:
                        pts = float(sound.pts * sound.time_base)
                        yield Sound.of(pts + later, sound.to_ndarray().tobytes())
        except (av.FFmpegError, ValueError):
            self._resampler = None

    def _resample(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """Raises av.FFmpegError, ValueError."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if frame.sample_rate > MAX_SOUND_RATE or frame.layout.nb_channels > MAX_SOUND_CHANNELS:
            raise ValueError(f"no sound of a camera: {form}")
        if self._resampler is None or form != self._form:
            self._form = form
            self._resampler = av.AudioResampler("s16", "stereo", SOUND_RATE, SOUND_SAMPLES)
        return self._resampler.resample(frame)


class EarlySounds:
    """Sound that waits for its picture; what does not fit pushes out the oldest.

    end: of the newest, in seconds.
    """

    def __init__(self) -> None:
        self.end = float("-inf")
        self._held: deque[Sound] = deque(maxlen=MAX_EARLY_SOUND)

    def add(self, sounds: Iterable[Sound]) -> None:
        for sound in sounds:
            self._held.append(sound)
            self.end = sound.pts + SOUND_SAMPLES / SOUND_RATE

    def reach(self, pts: float) -> bool:
        """Whether all is there that belongs to the picture of this time."""
        return bool(self._held) and self._held[-1].pts > pts + EARLY

    def due(self, pts: float) -> Iterator[Sound]:
        """What may be told once the picture of this time was."""
        while self._held and self._held[0].pts <= pts + EARLY:
            yield self._held.popleft()

    def tail(self, last: float) -> Iterator[tuple[list[Sound], float]]:
        """What is heard after the last picture, told as `due` does; with how many seconds to wait
        then. Only then a film may begin anew, or its beginning would be heard already."""
        at, end = last, min(self.end, last + LONGEST_TAIL)
        while at < end:
            wait = min(EARLY / 2, end - at)
            yield list(self.due(min(at, end - EARLY))), wait
            at += wait


class FilmSound:
    """The sound of a file, read apart from its pictures: these are too large to be held while the
    sound that belongs to them is looked for.

    base: when the first picture is played, by the clock of those that are told.
    """

    def __init__(self, file: VideoFile, base: float) -> None:
        self.codec = file.audio[0].codec_context.name
        self._packets = file.sound()
        self._later = base - float(file.start)
        self._decoder = SoundDecoder()
        self._early = EarlySounds()

    def due(self, pts: float) -> Iterator[Sound]:
        """As EarlySounds."""
        self._read(islice(self._packets, PACKETS_AT_ONCE), pts)
        yield from self._early.due(pts)

    def tail(self, last: float) -> Iterator[tuple[list[Sound], float]]:
        """As EarlySounds."""
        self._read(self._packets, last + LONGEST_TAIL)
        yield from self._early.tail(last)

    def _read(self, packets: Iterable[AudioPacket | None], pts: float) -> None:
        for packet in packets:
            if packet is not None:
                self._early.add(self._decoder.sounds(packet, self._later))
            if self._early.reach(pts):
                break


def sound_first(
    packets: "Iterable[av.Packet[Any]]", video: av.VideoStream
) -> "Iterator[av.Packet[Any]]":
    """The packets of a film, its pictures once the sound that belongs to them has been read."""
    held: deque[av.Packet[Any]] = deque()
    size = 0
    for packet in packets:
        if packet.stream is not video:
            yield packet
            continue
        held.append(packet)
        size += packet.size
        while size > MAX_HELD_BYTES or _seconds_between(held[0], packet) > INTERLEAVED:
            size -= held[0].size
            yield held.popleft()
            if not held:
                break
    yield from held


def _seconds_between(first: "av.Packet[Any]", last: "av.Packet[Any]") -> float:
    """As they are decoded; unknown counts as long."""
    if first.dts is None or last.dts is None:
        return float("inf")
    return abs(float((last.dts - first.dts) * last.time_base))
