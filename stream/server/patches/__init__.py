"""Changes to aiortc 1.16 and aioice 0.13, each with its reason.

A test of each fails once the library does without it.
"""

from stream.server.patches import addresses, decoding, jitter, playout, ports, round_trip, tracks


def apply() -> None:
    """Change the libraries for the whole process; doing it again changes nothing."""
    for patch in (addresses, decoding, jitter, playout, ports, round_trip, tracks):
        patch.apply()
