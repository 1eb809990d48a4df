"""aioice 0.13 does not say how long its checks took: how far away the peer is."""

import time
from collections import deque
from typing import Any

from aioice import ice, stun

COUNTED = 4
"""Checks, 20 s of them: the shortest counts, since a busy machine makes some longer."""

original_request = ice.StunProtocol.request


def apply() -> None:
    ice.StunProtocol.request = timed_request  # type: ignore[method-assign]


async def timed_request(self: Any, request: Any, addr: Any, *rest: Any, **options: Any) -> Any:
    began = time.monotonic()
    answer = await original_request(self, request, addr, *rest, **options)
    took = time.monotonic() - began
    # After that it was sent again, and nobody knows which of the two was answered.
    if took < stun.RETRY_RTO:
        of_peers = self.__dict__.setdefault("round_trips", {})
        of_peers.setdefault(addr, deque(maxlen=COUNTED)).append(took)
    return answer


def seconds(transport: Any) -> float | None:
    """Of an RTCDtlsTransport, to its peer and back, by the last checks; None: not known."""
    for pair in transport.transport._connection._nominated.values():
        if known := pair.protocol.__dict__.get("round_trips", {}).get(pair.remote_addr):
            shortest: float = min(known)
            return shortest
    return None
