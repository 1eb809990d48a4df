"""A process of our own that does what may block for ever or crash: start it, hear it, kill it.

It reads orders from its standard input, says lines on its standard output, first of all one that it
is ready, and ends when its standard input does.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

from stream.limits import CLOSE_TIMEOUT, READER_START

CHUNK = 64 * 1024


class ChildDied(Exception):
    """The process ended, or says what is not understood."""


class Child:
    """A process that was started. `kill` ends it for certain."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._reading = asyncio.Lock()
        """Who is in the middle of a line sees the end by itself; two cannot read at once."""

    @classmethod
    async def start(
        cls, module: str, *arguments: str, max_line: int, descriptors: Sequence[int] = ()
    ) -> "Child":
        """Run a module and wait for its first line. descriptors: files that it inherits.

        Raises ChildDied, OSError.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # FFmpeg's text may repeat a password
            pass_fds=descriptors,
            limit=max_line,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        child = cls(process)
        try:
            async with asyncio.timeout(READER_START):
                await child.line()
        except BaseException as error:
            await child.kill()
            if isinstance(error, TimeoutError):
                raise ChildDied from error
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        """What cannot be written any more is dropped: `line` tells that it died."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(data)

    async def line(self) -> bytes:
        """The next thing it says. Raises ChildDied."""
        assert self._process.stdout is not None
        try:
            async with self._reading:
                return await self._process.stdout.readuntil()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ChildDied from error

    async def ended(self, seconds: float) -> None:
        """Wait for its end, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._process.wait()

    async def kill(self) -> None:
        """End it, whatever it does. May be called more than once."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        ending = asyncio.create_task(self._end())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending  # it takes a moment, and its pipes would stay open
            raise

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):  # longer only in the kernel's own sleep
                await asyncio.gather(self._empty(), self._process.wait())

    async def _empty(self) -> None:
        """Read what it said last: a pipe that is full is not read, so its end would not be seen,
        and asyncio waits for that to tell the process's."""
        assert self._process.stdout is not None
        async with self._reading:
            while await self._process.stdout.read(CHUNK):
                pass
