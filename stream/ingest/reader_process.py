"""The server's side of a reading process: starts it, hears it, kills it."""

import asyncio
import contextlib
import mmap
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorRange

from stream.compose.planes import Planes
from stream.errors import InputError
from stream.ingest.clock import TICKS
from stream.ingest.reader_messages import (
    MAX_LINE,
    SLOT_BYTES,
    SLOTS,
    Free,
    Order,
    Picture,
    Ready,
    Report,
    decode_report,
    encode,
    shapes,
)
from stream.limits import CLOSE_TIMEOUT, READER_START

TIME_BASE = Fraction(1, TICKS)


class ReaderDied(Exception):  # as in: the reader died
    """The process ended, or says what is not understood."""


class Reader:
    """A reading process that was started. `start` makes one, `kill` ends it for certain."""

    def __init__(self, process: Process, memory: mmap.mmap) -> None:
        self._process = process
        self._memory = memory

    @classmethod
    async def start(cls) -> "Reader":
        """Raises ReaderDied."""
        descriptor = _shared_memory()
        try:
            memory = mmap.mmap(descriptor, SLOTS * SLOT_BYTES)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "stream.ingest.reader",
                str(descriptor),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,  # FFmpeg's text may repeat a password
                pass_fds=(descriptor,),
                limit=MAX_LINE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
        finally:
            os.close(descriptor)
        reader = cls(process, memory)
        try:
            async with asyncio.timeout(READER_START):
                if not isinstance(await reader.hear(), Ready):
                    raise ReaderDied
        except BaseException as error:
            await reader.kill()
            if isinstance(error, TimeoutError):
                raise ReaderDied from error
            raise
        return reader

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, order: Order) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(encode(order))

    async def hear(self) -> Report:
        """The next report. Raises ReaderDied."""
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readuntil()
            return decode_report(line)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, InputError) as error:
            raise ReaderDied from error

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

    async def kill(self) -> None:
        """End it, whatever it does. May be called more than once."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):  # only a process in the kernel's own sleep
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._process.wait()


def _shared_memory() -> int:
    """A file in memory that never has a name, so nothing is left behind however anyone ends."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("segstream-camera")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, SLOTS * SLOT_BYTES)
    return descriptor
