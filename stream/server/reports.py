"""Whether a peer still listens, by what it reports."""

from datetime import datetime

from aiortc import RTCRtpSender


class Reports:
    """Reports are authenticated by SRTP; that somebody sends packets from the peer's address would
    prove nothing."""

    def __init__(self) -> None:
        self._reported: list[datetime] = []

    async def have_come(self, sender: RTCRtpSender) -> bool:
        """Whether a receiver report (RTCP) has come since the last call, or none can be expected
        because no picture has gone out yet."""
        parts = (await sender.getStats()).values()
        if not any(part.packetsSent for part in parts if part.type == "outbound-rtp"):
            return True
        before = self._reported
        self._reported = [part.timestamp for part in parts if part.type == "remote-inbound-rtp"]
        return self._reported != before
