"""Holds one session's quality at what the machine can afford."""

import logging
import time
from collections.abc import Callable

from stream.overload import Load, Overload
from stream.session import Session

log = logging.getLogger(__name__)


class Steering:
    """`look` about once a second: measures, and sets the tracker's and the encoder's quality.

    undecoded: how many pictures of its source the machine had no time to decode, in all.
    """

    def __init__(self, session: Session, undecoded: Callable[[], int]) -> None:
        self.overload = Overload()
        self._session = session
        self._undecoded = undecoded
        self._received = 0
        self._dropped = 0

    def look(self) -> None:
        session, before = self._session, self.overload.position
        broadcast = session.broadcast
        undecoded = self._undecoded()
        received = session.received + undecoded
        dropped = undecoded + session.passed_over + broadcast.frames.dropped + broadcast.drops.late
        load = Load(
            age=broadcast.ages.take(),
            encode=broadcast.encode_ms / 1e3,
            arrived=received - self._received,
            dropped=dropped - self._dropped,
        )
        self._received, self._dropped = received, dropped
        level = self.overload.look(load, time.monotonic())
        if self.overload.position != before:
            log.info(
                "session %s: quality level %d, was %d (pictures %.0f ms old, %d of %d dropped)",
                session.id,
                self.overload.position,
                before,
                load.age * 1e3,
                load.dropped,
                load.arrived,
            )
        session.tracker_interval = level.tracker_interval
        broadcast.quality = level
