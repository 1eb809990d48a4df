"""A whole server for tests of jobs, in a process of its own, and videos on a server beside it."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer


class JobServer:
    """base: its URL. output: what it printed, at the end."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.base = ""
        self.output = ""
        self._environment = {**os.environ, "SEGSTREAM_DATA": str(data)}
        self._environment |= {"SEGSTREAM_DRAIN_SECONDS": "0", **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-m", "stream", "serve", "--port", "0",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(90):
            while line := (await self._process.stdout.readline()).decode():
                self.output += line
                if found := re.search(r"http://127.0.0.1:[0-9]+", line):
                    self.base = found[0]
                    break
        assert self.base, self.output
        self._reader = asyncio.create_task(self._read())

    async def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
            if self._reader is not None:
                await self._reader
        return code

    def keys(self, *arguments: str) -> str:
        """What `segstream keys` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "stream", "keys", *arguments],
            env=self._environment, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.output += line.decode()


@contextlib.asynccontextmanager
async def running(data: Path, **environment: str) -> AsyncIterator[JobServer]:
    server = JobServer(data, **environment)
    await server.start()
    try:
        yield server
    finally:
        assert await server.stop() == 0, server.output
        assert "Traceback" not in server.output, server.output


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """A web server that has the folder's files; its URL."""
    app = web.Application()
    app.router.add_static("/", folder)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """Name and data of Server-Sent Events."""
    name = ""
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            yield name, text[6:]


async def until(get: Any, seconds: float = 120) -> Any:
    """Wait until `get` gives something that is true."""
    async with asyncio.timeout(seconds):
        while not (found := await get()):  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.1)
    return found
