"""Counts what happens to a session's pictures and sums it up once a second."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from stream.messages import Stats
from stream.metrics import FRAMES_IN, FRAMES_OUT, FRAMES_TRACKED, MASK_AGE, STAGE_SECONDS


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
        """The sum, which is also added to the metrics; called once.

        size: of the newest picture, drops: since the session began.
        """
        self._add_to_metrics()
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

    def _add_to_metrics(self) -> None:
        FRAMES_IN.inc(self.arrived)
        FRAMES_OUT.inc(max(self.left, 0))
        FRAMES_TRACKED.inc(self.tracked)
        for latency in self.latencies:
            STAGE_SECONDS["latency"].observe(latency)
        for age in self.mask_ages:
            MASK_AGE.observe(age)
