"""A network that loses, delays and reorders: the same for the same seed."""

import heapq
import random
from dataclasses import dataclass, field
from typing import Any


@dataclass
class LossyNetwork:
    """Times in seconds. loss: share of packets lost. spread: how much longer than `delay` a packet
    may take; over the distance of two packets, they are reordered."""

    seed: int
    loss: float = 0.0
    delay: float = 0.02
    spread: float = 0.0
    sent: int = 0
    lost: int = 0
    _chance: random.Random = field(init=False)
    _under_way: list[tuple[float, int, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def send(self, packet: Any, now: float) -> None:
        self.sent += 1
        if self._chance.random() < self.loss:
            self.lost += 1
            return
        at = now + self.delay + self._chance.random() * self.spread
        heapq.heappush(self._under_way, (at, self.sent, packet))

    def arrived(self, now: float) -> list[tuple[float, Any]]:
        """What has come until now, with its time of arrival, in that order."""
        out = []
        while self._under_way and self._under_way[0][0] <= now:
            at, _, packet = heapq.heappop(self._under_way)
            out.append((at, packet))
        return out
