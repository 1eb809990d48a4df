"""Counts what happens to a session's pictures and sums it up once a second."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from stream.messages import Stats


@dataclass(slots=True)
class Meter:
    """What happened since `began`. Times in seconds, time.monotonic()."""

    began: float = field(default_factory=time.monotonic)
    arrived: int = 0
    composed: int = 0
    tracked: int = 0
    left: int = 0
    latencies: list[float] = field(default_factory=list)
    mask_ages: list[float] = field(default_factory=list)

    def stats(self, size: tuple[int, int], drops: Mapping[str, int]) -> Stats:
        """The sum; size: of the newest picture, drops: since the session began."""
        elapsed = max(time.monotonic() - self.began, 1e-3)
        width, height = size
        return Stats(
            width,
            height,
            fps_in=self.arrived / elapsed,
            fps_out=self.left / elapsed,
            fps_tracker=self.tracked / elapsed,
            latency_ms=median(self.latencies) * 1e3 if self.latencies else None,
            mask_age_ms=median(self.mask_ages) * 1e3 if self.mask_ages else None,
            drops=drops,
        )
