"""Leads FFmpeg's muxers to one address that was checked, and to no other.

FFmpeg looks a name up by itself, and a name server may answer it something else than it answered
the server a moment before. So FFmpeg gets the address in the name's place. What the name is for
besides:

- RTMP says it in its connect command (tcUrl), which FFmpeg can be told.
- TLS (rtsps, rtmps) says it first of all (SNI, RFC 6066), and FFmpeg takes it from nowhere but the
  URL. There the name stays, and FFmpeg goes by way of a proxy, which looks no name up.
- RTSP has it in the URL of each request, which FFmpeg only knows as the one that it connects to:
  there the address stands instead, and a server with several names cannot tell which was meant.
- SRT knows no names.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit, urlunsplit

from stream.egress.target import Kind, Target
from stream.limits import PUBLISH_BUFFER, PUBLISH_GOODBYE, PUBLISH_OPEN

TLS_PORTS = {"rtsps": 322, "rtmps": 443}
"""Where there is none in the URL; those of FFmpeg."""

RTMP_PORT = 1935

BLOCK = 16 * 1024

MAX_CLIENTS = 4
"""Connections of one tunnel at once: FFmpeg makes one after the other."""


@dataclass(frozen=True, slots=True)
class Route:
    """How FFmpeg gets there. url: what it is given. tcurl: that RTMP is to tell, None for the
    URL's own. proxy: the port of a Tunnel on this machine."""

    url: str = field(repr=False)
    tcurl: str | None = None
    proxy: int | None = None


@asynccontextmanager
async def route(target: Target, address: str) -> AsyncIterator[Route]:
    """The way to a target of FFmpeg's or SRT's at this IP address. Raises OSError."""
    parts = urlsplit(target.url)  # its scheme in lower case: FFmpeg takes RTSPS for RTSP
    if parts.scheme in TLS_PORTS:
        async with Tunnel(address, parts.port or TLS_PORTS[parts.scheme]) as tunnel:
            yield Route(urlunsplit(parts), proxy=tunnel.port)
        return
    user, at, _ = parts.netloc.rpartition("@")
    place = user + at + _place(address, parts.port)
    tcurl = _tcurl(parts) if target.kind is Kind.RTMP else None
    yield Route(urlunsplit(parts._replace(netloc=place)), tcurl)


def _place(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _tcurl(parts: SplitResult) -> str:
    """As FFmpeg makes it: the app is the path's first part, or the first two of three, unless the
    second has a colon, as the name of a stream may."""
    path = urlunsplit(("", "", parts.path, parts.query, parts.fragment)).removeprefix("/")
    first, *rest = path.split("/", 2)
    app = f"{first}/{rest[0]}" if len(rest) == 2 and ":" not in rest[0] else first
    return f"{parts.scheme}://{_place(parts.hostname or '', parts.port or RTMP_PORT)}/{app}"


class Tunnel:
    """An HTTP proxy on this machine (CONNECT, RFC 9110 section 9.3.6) that leads to one address,
    whatever it is asked for.

    port: of 127.0.0.1, while it is entered. Other users of this machine reach it too, and through
    it what they reach anyway.
    """

    def __init__(self, address: str, port: int) -> None:
        self.port = 0
        self._there = address, port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Tunnel":
        listening = socket.create_server(("127.0.0.1", 0))
        # Pictures are to wait where they can be dropped; the sockets of its clients inherit it.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PUBLISH_BUFFER)
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=BLOCK)
        self.port = listening.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        if self._serving:  # what FFmpeg has said last is still to be passed on
            await asyncio.wait(self._serving, timeout=PUBLISH_GOODBYE)
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= MAX_CLIENTS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(PUBLISH_OPEN):
                await reader.readuntil(b"\r\n\r\n")
                back, there = await asyncio.open_connection(*self._there, limit=BLOCK)
            sending: socket.socket = there.get_extra_info("socket")
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PUBLISH_BUFFER)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await _until_one_ends(reader, there, back, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # FFmpeg sees that the connection ends, and tells
        finally:
            writer.close()
            if there is not None:
                await _close(there)


async def _close(sink: asyncio.StreamWriter) -> None:
    """Once all is sent, if it can be."""
    sink.close()
    try:
        async with asyncio.timeout(PUBLISH_GOODBYE):
            await sink.wait_closed()
    except (OSError, TimeoutError):
        sink.transport.abort()


async def _until_one_ends(
    reader: asyncio.StreamReader,
    there: asyncio.StreamWriter,
    back: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    ways = {asyncio.create_task(_pass_on(reader, there))}
    ways.add(asyncio.create_task(_pass_on(back, writer)))
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(BLOCK):
            sink.write(data)
            await sink.drain()
