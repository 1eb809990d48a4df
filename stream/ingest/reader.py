"""The process that reads one camera: opens, demuxes, decodes. `python -m stream.ingest.reader`.

A process and not a thread, because nothing interrupts FFmpeg: a camera that freezes in the middle
of a packet, or a picture that makes a decoder crash, takes this process and nothing else. It ends
when its standard input does, so it never outlives the server.
"""

import contextlib
import mmap
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange

from stream import srt, srt_address
from stream.errors import SegstreamError
from stream.frames import Frame
from stream.ingest.address import Kind
from stream.ingest.clock import Pace
from stream.ingest.file import VideoFile
from stream.ingest.orientation import StreamUpright
from stream.ingest.reader_messages import (
    SLOT_BYTES,
    SLOTS,
    Closed,
    Free,
    Open,
    Opened,
    Packet,
    Picture,
    Ready,
    Report,
    Sound,
    decode_order,
    encode,
    shapes,
)
from stream.ingest.reader_sound import EarlySounds, FilmSound, SoundDecoder, sound_first
from stream.ingest.source import Failure, classify
from stream.limits import MAX_READ_SOUND, MAX_SIDE, OPEN_TIMEOUT, SOURCE_SILENCE
from stream.media import AudioPacket

SYSTEM_ERRORS = 200
"""Numbers above are FFmpeg's own."""

RTSP_OPTIONS = {
    # Without these FFmpeg looks at seconds of the stream before it gives the first picture. With
    # nobuffer it would throw away the packets that it looks at: the key frame, so that the first
    # picture comes with the next one.
    "probesize": "32",
    "analyzeduration": "0",
    "max_delay": "200000",  # how long a lost UDP packet is waited for, in microseconds
}
HTTP_OPTIONS = {"protocol_whitelist": "http,https,tcp,tls,crypto"}
SRT_OPTIONS = {"probesize": "32", "analyzeduration": "0"}  # as for RTSP; the tables tell enough
LAST_PICTURE = 1.0
"""Seconds that the end of a connection waits for the server to take its last picture."""

SOUND_MAY_BE_TO_BLAME = (
    av.error.HTTPBadRequestError,
    av.error.HTTPOtherClientError,
    av.error.HTTPServerError,
    av.error.InvalidDataError,
    av.error.PatchWelcomeError,
)
"""A camera that cannot be asked for its sound is read without."""

UNTIMED = ("mpjpeg",)
"""Formats without times: FFmpeg invents 25 pictures a second."""

Timed = tuple[av.VideoFrame, float | None]


class Slots:
    """Pictures on their way to the server, of which the newest waits while no slot is free, and
    sound."""

    def __init__(self, memory: mmap.mmap, out: BinaryIO) -> None:
        self.damaged = 0
        self._memory = memory
        self._out = out
        self._changed = threading.Condition()
        self._free = list(range(SLOTS))
        self._waiting: Timed | None = None
        self._sounds: deque[Sound] = deque(maxlen=MAX_READ_SOUND)
        self._is_writing = False
        self._dropped = 0
        self._sounds_dropped = 0
        self._writing = threading.Lock()
        threading.Thread(target=self._write, name="slots", daemon=True).start()

    def begin(self) -> None:
        """A connection is opened: what became of the one before counts no more."""
        with self._changed:
            self._waiting, self._dropped, self.damaged = None, 0, 0
            self._sounds.clear()
            self._sounds_dropped = 0

    def put(self, picture: av.VideoFrame, pts: float | None) -> None:
        with self._changed:
            self._dropped += self._waiting is not None
            self._waiting = picture, pts
            self._changed.notify_all()

    def hear(self, sounds: Iterable[Sound]) -> None:
        for sound in sounds:
            with self._changed:
                self._sounds_dropped += len(self._sounds) == MAX_READ_SOUND
                self._sounds.append(sound)
                self._changed.notify_all()

    def free(self, slot: int) -> None:
        with self._changed:
            self._free.append(slot)
            self._changed.notify_all()

    def end(self, closed: Closed) -> None:
        """Say that nothing more comes, once nothing does: a picture said later would be taken for
        the first one of the next connection."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._waiting is None and not self._sounds and not self._is_writing,
                LAST_PICTURE,
            )
            self._waiting = None
            self._sounds.clear()
        self.say(closed)

    def say(self, report: Report) -> None:
        with self._writing:
            self._out.write(encode(report))
            self._out.flush()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_picture or self._sounds)
                self._is_writing = True
                if self._has_picture:
                    timed, self._waiting = self._waiting, None
                    slot = self._free.pop()
                else:
                    timed, sound = None, self._sounds.popleft()
            if timed is None:
                self.say(replace(sound, dropped=self._sounds_dropped))
            else:
                self._say_picture(_limited(timed[0]), timed[1], slot)
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    @property
    def _has_picture(self) -> bool:
        return self._waiting is not None and bool(self._free)

    def _say_picture(self, picture: av.VideoFrame, pts: float | None, slot: int) -> None:
        copy_planes(picture, self._memory, slot * SLOT_BYTES)
        self.say(
            Picture(
                slot,
                picture.width,
                picture.height,
                pts,
                int(picture.colorspace),
                int(picture.color_primaries),
                int(picture.color_trc),
                self._dropped,
                self.damaged,
            )
        )


def copy_planes(picture: av.VideoFrame, memory: mmap.mmap, offset: int) -> None:
    """Into shared memory, without the padding between rows."""
    for plane, shape in zip(picture.planes, shapes(picture.width, picture.height), strict=True):
        target = np.ndarray(shape, np.uint8, memory, offset)
        rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(shape[0], plane.line_size)
        np.copyto(target, rows[:, : shape[1]])
        offset += target.size


def _limited(picture: av.VideoFrame) -> av.VideoFrame:
    """As yuv420p of limited range, which every encoder and browser takes for granted."""
    full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
    if picture.format.name == "yuv420p" and not full and picture.planes[0].line_size > 0:
        return picture
    return picture.reformat(
        format="yuv420p",
        src_color_range=ColorRange.JPEG if full else None,
        dst_color_range=ColorRange.MPEG if full else None,
    )


def play(order: Open, slots: Slots) -> None:
    """Read until it ends, then say why."""
    slots.begin()
    slots.end(_play(order, slots))


def _play(order: Open, slots: Slots) -> Closed:
    try:
        pictures = _file(order, slots) if order.kind is Kind.FILE else _stream(order, slots)
        for picture, pts in pictures:
            if max(picture.width, picture.height) > MAX_SIDE:
                size = f"{picture.width}x{picture.height}"
                return Closed(Failure.TOO_LARGE, f"{size}; at most {MAX_SIDE} a side")
            slots.put(picture, pts)
    except SegstreamError as error:
        return Closed(Failure.NO_VIDEO, str(error))
    except Exception as error:
        # FFmpeg's own text repeats the address with its password.
        number = getattr(error, "errno", None)
        detail = os.strerror(number).lower() if number and 0 < number < SYSTEM_ERRORS else ""
        if isinstance(error, srt.SrtError):
            detail = error.detail
        return Closed(classify(error), detail)
    return Closed(Failure.CLOSED)


def _file(order: Open, slots: Slots) -> Iterator[Timed]:
    pace, base, end = Pace(), 0.0, 0.0
    is_first = True
    while is_first or order.loop:
        with VideoFile(Path(order.url)) as file:
            sound = FilmSound(file, base) if order.sound and file.audio else None
            if is_first:
                slots.say(Opened("file", "" if sound is None else sound.codec))
                slots.say(Packet())
            for item in file:
                if isinstance(item, Frame):
                    time_in_file = float(item.pts * item.time_base - file.start)
                    pts = base + time_in_file
                    time.sleep(min(pace.wait(pts, time.monotonic()), 1.0))
                    yield item.picture, pts
                    if sound is not None:
                        slots.hear(sound.due(pts))
                    end = pts + float(1 / file.format.rate)
            if sound is not None:
                end = max(end, _play_out(slots, sound.tail(pts), pts))
        base, is_first = end, False


def _play_out(slots: Slots, tail: Iterable[tuple[list[Sound], float]], last: float) -> float:
    """Tell what is heard after the last picture; returns its end."""
    for sounds, wait in tail:
        slots.hear(sounds)
        time.sleep(wait)
        last += wait
    return last


def _stream(order: Open, slots: Slots) -> Iterator[Timed]:
    pace = Pace()
    while True:
        with _called(order) if order.kind is Kind.SRT else _connect(order) as container:
            yield from _decode(container, order, slots, pace)
            is_finite = container.duration is not None
        if not (order.loop and is_finite):
            return


@contextlib.contextmanager
def _called(order: Open) -> Iterator["av.container.InputContainer"]:
    """By SRT. Raises SrtError, av.FFmpegError."""
    connection = srt.connect(srt_address.read(order.url))
    try:
        with av.open(
            connection, "r", format="mpegts", options=SRT_OPTIONS, metadata_errors="replace"
        ) as container:
            yield container
    finally:
        connection.close()


def _connect(order: Open) -> "av.container.InputContainer":
    """Raises av.FFmpegError."""
    options = dict(RTSP_OPTIONS if order.kind is Kind.RTSP else HTTP_OPTIONS)
    options["timeout"] = str(round(SOURCE_SILENCE * 1e6))
    if order.kind is Kind.RTSP:
        options["rtsp_transport"] = order.transport
        options["allowed_media_types"] = "video+audio" if order.sound else "video"
    try:
        return av.open(
            order.url,
            container_options=options,
            timeout=(OPEN_TIMEOUT, SOURCE_SILENCE),
            metadata_errors="replace",
        )
    except SOUND_MAY_BE_TO_BLAME:
        if order.kind is not Kind.RTSP or not order.sound:
            raise
    return _connect(replace(order, sound=False))


def _decode(
    container: "av.container.InputContainer", order: Open, slots: Slots, pace: Pace
) -> Iterator[Timed]:
    stream = next((s for s in container.streams.video if s.codec_context is not None), None)
    if stream is None:
        raise SegstreamError("it sends no video of a known codec")
    context = stream.codec_context
    context.thread_type = "SLICE"  # frame threads hold one picture back each
    if order.kind is not Kind.HTTP:
        context.flags |= Flags.low_delay
    heard = [s for s in container.streams.audio if s.codec_context is not None and order.sound][:1]
    slots.say(Opened(context.name, heard[0].codec_context.name if heard else ""))
    is_untimed = container.format.name in UNTIMED
    is_paced = order.kind is Kind.HTTP and not is_untimed
    packets: Iterator[av.Packet[Any]] = container.demux(stream, *heard)
    if heard and is_paced and container.duration is not None:
        packets = sound_first(packets, stream)
    decoder, early, upright = SoundDecoder(), EarlySounds(), StreamUpright()
    is_first, last = True, float("inf")
    for packet in packets:
        if packet.stream is not stream:
            sounds = decoder.sounds(cast(AudioPacket, packet))
            if is_paced:
                early.add(sounds)
            else:
                slots.hear(sounds)
            continue
        if is_first and packet.size:
            slots.say(Packet())
            is_first = False
        try:
            pictures = packet.decode()
        except av.FFmpegError:
            # Lost packets leave such; if nothing else comes, the server's watch ends it.
            slots.damaged += 1
            continue
        for picture in pictures:
            pts = None if is_untimed else _seconds(picture)
            if is_paced and pts is not None:
                time.sleep(min(pace.wait(pts, time.monotonic()), 1.0))
            yield upright.turn(picture), pts
            if is_paced and pts is not None:
                slots.hear(early.due(pts))
                last = pts
    _play_out(slots, early.tail(last), last)


def _seconds(picture: Any) -> float | None:
    if picture.pts is None or not picture.time_base:
        return None
    return float(picture.pts * Fraction(picture.time_base))


def main() -> None:
    memory = mmap.mmap(int(sys.argv[1]), SLOTS * SLOT_BYTES)
    slots = Slots(memory, sys.stdout.buffer)
    slots.say(Ready())
    for line in sys.stdin.buffer:
        match decode_order(line):
            case Free(slot):
                slots.free(slot)
            case Open() as order:
                threading.Thread(target=play, args=(order, slots), daemon=True).start()
    os._exit(0)  # threads may hang in FFmpeg


if __name__ == "__main__":
    main()
