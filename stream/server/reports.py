"""Whether a peer still listens, by what it reports."""

import time
from datetime import datetime

from aiortc import RTCRtpSender

QUIET = 5.0
"""Seconds after the last picture from which on no report is expected: receivers report on what they
receive, browsers for 8 s after it, and a camera may be away for hours."""


class Reports:
    """Reports are authenticated by SRTP; that somebody sends packets from the peer's address would
    prove nothing."""

    def __init__(self) -> None:
        self._reported: list[datetime] = []
        self._sent = 0
        self._sent_at = 0.0

    async def have_come(self, sender: RTCRtpSender) -> bool:
        """Whether a receiver report (RTCP) has come since the last call, or none can be expected
        because no picture has gone out, or not for a while."""
        parts = (await sender.getStats()).values()
        sent = sum(part.packetsSent for part in parts if part.type == "outbound-rtp")
        now = time.monotonic()
        if sent != self._sent:
            self._sent, self._sent_at = sent, now
        if not sent or now - self._sent_at > QUIET:
            return True
        before = self._reported
        self._reported = [part.timestamp for part in parts if part.type == "remote-inbound-rtp"]
        return self._reported != before
