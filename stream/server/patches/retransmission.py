"""aiortc 1.16 asks for missing packets only when another one goes missing: if that request is lost,
or what it asked for, nothing is asked again while the rest comes well.
"""

import time
from collections.abc import Callable

from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import RtpPacket

ASK_AGAIN = 0.030
"""Seconds: less than most networks' way there and back, so three times within the deadline."""


class Nacks(NackGenerator):
    """Also says that packets are missing when it was last said a while ago."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._asked = 0.0

    def add(self, packet: RtpPacket) -> bool:
        missed, now = super().add(packet), self._clock()
        if not missed and (not self.missing or now - self._asked < ASK_AGAIN):
            return False
        self._asked = now
        return True
