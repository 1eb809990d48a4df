"""Slow and many connections keep nobody out who asks as one should."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from fake_tracker import bright_supervisor
from rtc_client import eventually

from stream.server import door
from stream.server.app import create_app, serve
from stream.settings import Settings

REQUEST = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TIMEOUT = 1.0


@asynccontextmanager
async def open_port(data: Path) -> AsyncIterator[int]:
    """As `segstream serve` opens it."""
    told: list[str] = []
    app = create_app(Settings(data=data), bright_supervisor())
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, told.append))
    try:
        await eventually(lambda: told or serving.done())
        yield int(re.findall(r":(\d+)", told[0])[0])
    finally:
        serving.cancel()
        began = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        assert time.monotonic() - began < 15


async def ask(port: int, request: bytes = REQUEST, pause: float = 0) -> bytes:
    """The answer to its end; pause: between two bytes of the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(15):
            if pause:
                for byte in request:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(pause)
            else:
                writer.write(request)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def drip(port: int) -> float:
    """Seconds until somebody is sent away who sends a byte every tenth of a second, and no end."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10 * TIMEOUT):
            writer.write(b"\r\n\r\nGET /")
            while not reader.at_eof():
                writer.write(b"x")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await reader.read()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return time.monotonic() - began


async def test_two_hundred_slow_ones_are_sent_away_and_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HEAD_TIMEOUT", TIMEOUT)
    async with open_port(tmp_path) as port:
        slow = [asyncio.create_task(drip(port)) for _ in range(200)]
        for _ in range(5):
            assert b" 200 OK\r\n" in await ask(port)
            await asyncio.sleep(0.1)
        lasted = await asyncio.gather(*slow)
        assert min(lasted) > 0.8 * TIMEOUT
        assert max(lasted) < 8 * TIMEOUT
        assert b" 200 OK\r\n" in await ask(port, pause=0.001)


async def test_who_says_nothing_is_sent_away_and_who_was_let_in_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HEAD_TIMEOUT", TIMEOUT)
    async with open_port(tmp_path) as port:
        silent, closing = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
        writer.write(head + b"{")
        async with asyncio.timeout(5 * TIMEOUT):
            with contextlib.suppress(ConnectionResetError):
                assert await silent.read() == b""
        await asyncio.sleep(TIMEOUT)
        writer.write(b"}")
        assert b"HTTP/1.1 4" in await reader.readuntil(b"\r\n")
        closing.close()
        writer.close()


async def test_so_many_may_be_there_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAX_CONNECTIONS", 4)
    async with open_port(tmp_path) as port:
        kept = REQUEST.replace(b"Connection: close\r\n", b"")
        arriving = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        inside = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in inside:
            writer.write(kept)
            assert b" 200 OK\r\n" in await reader.readuntil(b"\r\n")
        assert await ask(port) == b""
        for _, writer in (arriving[0], inside[0]):
            writer.close()
        for _ in range(100):
            if answer := await ask(port):
                break
            await asyncio.sleep(0.05)
        assert b" 200 OK\r\n" in answer
        for _, writer in (arriving[1], inside[1]):
            writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"\r\n\r\n\x00",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
        b"GET /" + b"x" * 70_000,
    ],
    ids=["tls", "nothing", "header", "path"],
)
async def test_what_is_no_request_is_refused_at_once(tmp_path: Path, request_: bytes) -> None:
    async with open_port(tmp_path) as port:
        answer = await ask(port, request_)
        assert b"HTTP/1.0 400" in answer or b"HTTP/1.1 400" in answer


async def test_a_signal_breaks_off_the_start_and_the_next_ends_the_process() -> None:
    app, starting = web.Application(), asyncio.Event()

    async def start(_: web.Application) -> None:
        starting.set()
        await asyncio.Event().wait()

    app.on_startup.append(start)
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, print))
    async with asyncio.timeout(10):
        await starting.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait([serving])
    assert serving.cancelled()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
