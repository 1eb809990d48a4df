"""Who comes to the server's port: only so many at once, and with a whole head of a request in time.

aiohttp 3.14 has a limit for neither. A connection that sends a byte a second it closes when the
time is over that it gives to idle ones, 75 s, and so many may be open as the process may have
files, which cameras, sessions and recordings need too. What is let in here is aiohttp's from then
on, with its times for later requests of the same connection.
"""

import asyncio
import re
from typing import cast

from aiohttp import web

from stream.limits import HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_HEAD

_END = re.compile(rb"\r?\n\r?\n")
"""Of a head (RFC 9112, 2.1 and 2.2)."""


class Door:
    """Makes the protocol of each connection that comes. server: aiohttp's."""

    def __init__(self, server: web.Server) -> None:
        self.server = server
        self.arriving: set[_Arrival] = set()

    def __call__(self) -> asyncio.Protocol:
        return _Arrival(self)

    @property
    def is_full(self) -> bool:
        return len(self.arriving) + len(self.server.connections) >= MAX_CONNECTIONS

    def close(self) -> None:
        """Send away who has not come in yet."""
        for arrival in tuple(self.arriving):
            arrival.leave()


class _Arrival(asyncio.Protocol):
    """A connection until its first request's head is there."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._door.is_full:
            self.leave()
            return
        self._door.arriving.add(self)
        self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self.leave)

    def data_received(self, data: bytes) -> None:
        self._head = (self._head + data).lstrip(b"\r\n")  # RFC 9112, 2.2
        # What is no request, such as the beginning of TLS, or too long, is refused with a reason.
        may_be_one = (self._head or b"G")[:1].isalpha() and len(self._head) < MAX_HEAD
        if may_be_one and not _END.search(self._head):
            return
        assert self._transport is not None
        self._forget()
        handler = self._door.server()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(self._head)

    def connection_lost(self, _: Exception | None) -> None:
        self._forget()

    def leave(self) -> None:
        assert self._transport is not None
        self._transport.abort()

    def _forget(self) -> None:
        self._door.arriving.discard(self)
        if self._timer is not None:
            self._timer.cancel()
