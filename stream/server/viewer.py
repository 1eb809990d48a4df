"""One who watches a session: a connection that only sends, and the watch that ends it."""

import asyncio
import logging
import time

from stream.limits import CONNECT_TIMEOUT, VIEWER_SILENCE
from stream.network import Network
from stream.server.connection import Connection
from stream.server.offer import Offer
from stream.server.reports import Reports
from stream.server.viewing import Viewing
from stream.session import Session

log = logging.getLogger(__name__)

CHECK_INTERVAL = 1.0


class Viewer:
    """Answers one offer. Raises Busy when too many watch the session."""

    def __init__(self, id: str, session: Session, network: Network) -> None:
        self._name = f"session {session.id}: viewer {id}"
        self._session = session
        self._viewing = Viewing(session)
        self.connection = Connection(self._name, network)
        self._answered = asyncio.Event()
        self._reports = Reports()
        self._heard = 0.0

    async def answer(self, offer: Offer, reached_at: str | None = None) -> str:
        """The answer's SDP, with sound if the session has some or may have. Raises OfferError,
        Busy."""
        try:
            self._viewing.add_to(self.connection.rtc, "sendonly", self._viewing.hears(offer))
            answer = await self.connection.answer(offer, reached_at)
        finally:
            self._answered.set()
        log.info("%s: comes", self._name)
        return answer

    async def watch(self) -> None:
        """Until the viewer or the session is gone, then free everything."""
        try:
            # aiortc cannot close a connection that it answers at the same time.
            await self._answered.wait()
            while not self.connection.has_ended:
                await self.connection.wait(CHECK_INTERVAL)
                await self._check_alive()
        finally:
            self._viewing.stop()
            await self.connection.close()

    def end(self, reason: str) -> None:
        """Make `watch` end."""
        self.connection.end(reason)

    async def _check_alive(self) -> None:
        if self._session.has_ended:  # a camera's, which nobody else tells
            self.end("its session ended")
        now, connected = time.monotonic(), self.connection.connected
        if connected is None:
            if now - self.connection.began > CONNECT_TIMEOUT:
                self.end(f"not connected within {CONNECT_TIMEOUT:g} s")
            return
        sender = self._viewing.sender
        if sender is not None and await self._reports.have_come(sender):
            self._heard = now
        if now - max(connected, self._heard) > VIEWER_SILENCE:
            self.end(f"no report for {VIEWER_SILENCE:g} s")
