"""Starting a job's process from the server, and hearing it."""

import asyncio
import json
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from stream.errors import SegstreamError

log = logging.getLogger(__name__)

REMEMBERED = 20
"""Lines of what the process complains about that go into the log: the first ones as they come, the
last ones should it die. A stranger's video may bring a library to write without end."""

LAST_WORDS = 1.0
"""Seconds for what it has complained about to be read, once it has ended."""

END_TIMEOUT = 30.0
"""Seconds to be gone once it has closed its output, which it does by ending; then it is killed.
Beside live sessions its own end may take long."""


class JobError(SegstreamError):
    """What the process reported. status: the HTTP status that says it."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


async def run(
    module: str,
    orders: dict[str, Any],
    silence: float,
    heard: Callable[[dict[str, Any]], None] = lambda report: None,
    told: AsyncIterator[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Run `python -m module`; returns its last report. When cancelled, the process is ended.

    silence: seconds without a report after which it hangs, and is ended. told: what it is told
    after its orders. Raises JobError.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},  # else threads eat address space
    )
    assert process.stdin is not None
    complaints: deque[str] = deque(maxlen=REMEMBERED)
    tasks = [asyncio.create_task(_collect(module, process, complaints))]
    if told is not None:
        tasks.append(asyncio.create_task(_tell(process, told)))
    try:
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        last = await _hear(process, silence, heard)
        code = await _code(process)
    except TimeoutError:
        raise JobError("limit", f"no progress for {silence:g} s; it was ended", 422) from None
    except ConnectionError:
        code, last = await process.wait(), None
    finally:
        await _end(process)
        await asyncio.wait(tasks[:1], timeout=LAST_WORDS)
        for task in tasks:
            task.cancel()
    if last is not None and "error" in last:
        raise JobError(**last["error"])
    if code or last is None:
        code = code or 1
        log.error("%s died (%s): %s", module, code, " | ".join(complaints))
        if code < 0:
            message = "the process that worked on the video was ended: it passed a limit or crashed"
            raise JobError("crashed", message, 422)
        raise JobError("error", "the process that worked on the video failed", 500)
    return last


async def _code(process: asyncio.subprocess.Process) -> int:
    """Its exit code; 0 when it is slow to end: it has said all, which is done before it is said."""
    try:
        async with asyncio.timeout(END_TIMEOUT):
            return await process.wait()
    except TimeoutError:
        return 0


async def _hear(
    process: asyncio.subprocess.Process, silence: float, heard: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    assert process.stdout is not None
    last = None
    while True:
        async with asyncio.timeout(silence):
            line = await process.stdout.readline()
        if not line:
            return last
        with suppress(ValueError):
            last = json.loads(line)
            heard(last)


async def _tell(process: asyncio.subprocess.Process, told: AsyncIterator[dict[str, Any]]) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it has ended
        async for message in told:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            await process.stdin.drain()


async def _collect(
    module: str, process: asyncio.subprocess.Process, complaints: deque[str]
) -> None:
    assert process.stderr is not None
    count = 0
    with suppress(ValueError):  # a line without end
        while line := await process.stderr.readline():
            complaints.append(line.decode(errors="replace").strip()[:300])
            count += 1
            if count <= REMEMBERED:
                log.info("%s: %s", module, complaints[-1])
    while await process.stderr.read(65536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    """Killing is enough: it keeps nothing but files that nobody has a name for yet."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
