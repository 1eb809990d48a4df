"""The server's side of a reading process: starts it, hears it, kills it."""

import mmap
import os
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange

from stream.child import Child, ChildDied
from stream.compose.planes import Planes
from stream.errors import InputError
from stream.ingest.clock import TICKS
from stream.ingest.reader_messages import (
    MAX_LINE,
    SLOT_BYTES,
    SLOTS,
    SOUND_RATE,
    Free,
    Order,
    Picture,
    Report,
    Sound,
    decode_report,
    encode,
    shapes,
)
from stream.memory import shared_memory

TIME_BASE = Fraction(1, TICKS)


class Reader:
    """A reading process that was started. `start` makes one, `kill` ends it for certain."""

    def __init__(self, child: Child, memory: mmap.mmap) -> None:
        self._child = child
        self._memory = memory

    @classmethod
    async def start(cls) -> "Reader":
        """Raises ChildDied, OSError."""
        descriptor = shared_memory("segstream-camera", SLOTS * SLOT_BYTES)
        try:
            memory = mmap.mmap(descriptor, SLOTS * SLOT_BYTES)
            child = await Child.start(
                "stream.ingest.reader",
                str(descriptor),
                max_line=MAX_LINE,
                descriptors=(descriptor,),
            )
        finally:
            os.close(descriptor)
        return cls(child, memory)

    @property
    def pid(self) -> int:
        return self._child.pid

    def say(self, order: Order) -> None:
        self._child.write(encode(order))

    async def hear(self) -> Report:
        """The next report. Raises ChildDied."""
        try:
            return decode_report(await self._child.line())
        except InputError as error:
            raise ChildDied from error

    def take(self, report: Picture, ticks: int) -> av.VideoFrame:
        """Copy a picture out of its slot, which is free again. ticks: its time, in TIME_BASE."""
        picture = av.VideoFrame(report.width, report.height, "yuv420p")
        offset = report.slot * SLOT_BYTES
        for plane, shape in zip(
            Planes.of(picture), shapes(report.width, report.height), strict=True
        ):
            np.copyto(plane, np.ndarray(shape, np.uint8, self._memory, offset))
            offset += plane.size
        self.say(Free(report.slot))
        picture.pts, picture.time_base = ticks, TIME_BASE
        picture.color_range = ColorRange.MPEG
        picture.colorspace = report.space
        picture.color_primaries = report.primaries
        picture.color_trc = report.transfer
        return picture

    def take_sound(self, report: Sound, arrived: float) -> av.AudioFrame:
        """arrived: seconds, which become its time."""
        samples = np.frombuffer(report.data, np.int16)
        sound = av.AudioFrame.from_ndarray(samples[None], "s16", "stereo")
        sound.sample_rate = SOUND_RATE
        sound.pts, sound.time_base = round(arrived * SOUND_RATE), Fraction(1, SOUND_RATE)
        return sound

    async def kill(self) -> None:
        """End it, whatever it does. May be called more than once."""
        await self._child.kill()
