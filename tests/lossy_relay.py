"""UDP between a peer and the server, over networks that lose, delay and reorder."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lossy_network import LossyNetwork

TICK = 0.002
DELAY = 0.02
"""Seconds, one way."""


class LossyRelay:
    """Stands where the server's answer said that the server is.

    there, back: the networks from the peer to the server and back; they lose nothing at first.
    refuses: asked of each packet to the server, whether it never comes, however often it is sent.
    """

    def __init__(self, spread: float = 0.0) -> None:
        self.there = LossyNetwork(1, delay=DELAY, spread=spread)
        self.back = LossyNetwork(2, delay=DELAY, spread=spread)
        self.refuses: Callable[[bytes], bool] = lambda _: False
        self._peer: tuple[Any, ...] | None = None
        self._server: tuple[str, int] | None = None

    def lose(self, share: float) -> None:
        """From now on, both ways."""
        self.there.loss = self.back.loss = share

    def redirect(self, answer: str) -> str:
        """The answer, with the relay in place of the server's candidates."""
        lines = answer.split("\r\n")
        known = [line for line in lines if line.startswith("a=candidate")]
        [host, *_] = [line for line in known if " 127.0.0.1 " in line and " typ host" in line]
        self._server = "127.0.0.1", int(host.split()[5])
        port = self._near.get_extra_info("sockname")[1]
        relayed = re.sub(r" 127\.0\.0\.1 \d+ ", f" 127.0.0.1 {port} ", host)
        kept = [relayed if line == host else line for line in lines]
        return "\r\n".join(line for line in kept if line == relayed or line not in known)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        local = ("127.0.0.1", 0)
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._from_peer), local_addr=local
        )
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _Socket(self._from_server), local_addr=local
        )
        self._task = loop.create_task(self._deliver())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._near.close()
        self._far.close()

    def _from_peer(self, data: bytes, sender: tuple[Any, ...]) -> None:
        self._peer = sender
        if not self.refuses(data):
            self.there.send(data, time.monotonic())

    def _from_server(self, data: bytes, _: tuple[Any, ...]) -> None:
        self.back.send(data, time.monotonic())

    async def _deliver(self) -> None:
        while True:
            now = time.monotonic()
            for _, data in self.there.arrived(now):
                self._far.sendto(data, self._server)
            for _, data in self.back.arrived(now):
                self._near.sendto(data, self._peer)
            await asyncio.sleep(TICK)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self.datagram_received = receive  # type: ignore[method-assign]


@asynccontextmanager
async def lossy_relay(spread: float = 0.0) -> AsyncIterator[LossyRelay]:
    """spread: seconds that a packet may take longer than another; over some, they are reordered."""
    relay = LossyRelay(spread)
    await relay.run()
    try:
        yield relay
    finally:
        await relay.close()


def without_candidates(offer: str) -> str:
    """So that the server answers where the peer's packets come from, which is the relay."""
    lines = offer.split("\r\n")
    return "\r\n".join(
        line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates"))
    )
