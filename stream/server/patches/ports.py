"""What aioice 0.13 has no settings for: the UDP ports it takes, and when it thinks a peer gone."""

import sys

from aioice import ice

from stream.server.ice import PortRangeAsyncio

CONSENT_FAILURES = sys.maxsize
"""Unanswered consent checks (RFC 7675) after which aioice closes. FFmpeg's WHIP muxer answers the
first one only and would be cut off after half a minute. Peers that are gone show in their media
instead, which is encrypted and so says as much: no pictures, or no reports about pictures."""


def apply() -> None:
    ice.asyncio = PortRangeAsyncio()  # type: ignore[attr-defined,assignment]
    ice.CONSENT_FAILURES = CONSENT_FAILURES
