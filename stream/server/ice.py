"""What the server's own connections take from the operator's network settings."""

import asyncio
import contextlib
import errno
import random
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from aiortc import RTCConfiguration, RTCIceServer

from stream.network import Network

_ports: ContextVar[range | None] = ContextVar("udp_ports", default=None)


def configuration(network: Network) -> RTCConfiguration:
    """aiortc 1.16 uses the first STUN and the first TURN server, and reads no IPv6 address."""
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(server.url, server.username, server.credential)
            for server in network.servers(time.time())
            if "[" not in server.url
        ]
    )


@contextlib.contextmanager
def ports_within(ports: range | None) -> Iterator[None]:
    """Candidates that are gathered inside have these UDP ports."""
    token = _ports.set(ports)
    try:
        yield
    finally:
        _ports.reset(token)


class PortRangeAsyncio:
    """asyncio as aioice is to see it (stream.server.patches): its sockets get allowed ports.

    aioice 0.13 has no setting for them: it binds to port 0 of each local address.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def get_running_loop(self) -> Any:
        ports, loop = _ports.get(), asyncio.get_running_loop()
        return loop if ports is None else _PortRangeLoop(loop, ports)


class _PortRangeLoop:
    def __init__(self, loop: asyncio.AbstractEventLoop, ports: range) -> None:
        self._loop = loop
        self._ports = ports

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_datagram_endpoint(
        self,
        factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        **options: Any,
    ) -> Any:
        if local_addr is None or local_addr[1] != 0:
            return await self._loop.create_datagram_endpoint(factory, local_addr, **options)
        # From anywhere in the range, so that late packets of a former peer seldom meet a new one.
        count = len(self._ports)
        start = random.randrange(count)
        for offset in range(count):
            address = (local_addr[0], self._ports[(start + offset) % count])
            try:
                return await self._loop.create_datagram_endpoint(factory, address, **options)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no UDP port of {self._ports} is free")
