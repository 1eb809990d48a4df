"""A peer that sends pictures: its connection, its session, and the watch that ends both."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine

from aiortc import MediaStreamTrack, RTCDataChannel

from stream.errors import SegstreamError
from stream.ingest.webrtc import drain_audio, drain_video
from stream.limits import CONNECT_TIMEOUT, MAX_UNSENT, MEDIA_SILENCE
from stream.messages import AddBox, AddPoint, Event, Rejected
from stream.network import Network
from stream.server import control
from stream.server.answer import with_start_bitrate
from stream.server.connection import Connection
from stream.server.offer import Offer
from stream.server.patches import decoding
from stream.server.steering import Steering
from stream.server.viewing import Viewing
from stream.session import Session

log = logging.getLogger(__name__)

STATS_INTERVAL = 1.0


class Peer:
    """Answers one offer. make_session: gives the session that events are to be told to.

    source: by which door it came, "rtc" or "whip".
    """

    def __init__(
        self,
        make_session: Callable[[Callable[[Event], None]], Session],
        model: str,
        network: Network,
        source: str,
    ) -> None:
        self.source = source
        self._model = model
        self._channel: RTCDataChannel | None = None
        self._drains: list[asyncio.Task[None]] = []
        self.session = make_session(self._tell)
        self.connection = Connection(f"session {self.session.id}", network)
        self._steering = Steering(self.session, self._undecoded)
        self._viewing: Viewing | None = None

    async def answer(
        self,
        offer: Offer,
        reached_at: str | None = None,
        prepare: Callable[[Session], Awaitable[None]] | None = None,
    ) -> str:
        """Begin the session and return the answer's SDP.

        prepare: what is done with the session before the first picture can come; what it raises
        is raised. Raises OfferError, Busy.
        """
        rtc = self.connection.rtc
        rtc.on("track", self._on_track)
        rtc.on("datachannel", self._on_channel)
        self._begin()
        if prepare is not None:
            await prepare(self.session)
        if offer.wants_video:
            self._viewing = Viewing(self.session)
            self._show(self._viewing, offer)
        sdp = await self.connection.answer(offer, reached_at)
        log.info("session %s: started", self.session.id)
        return with_start_bitrate(sdp)

    async def watch(self) -> None:
        """Tell statistics each second until the peer is gone, then free everything."""
        try:
            while not self.connection.has_ended:
                await self.connection.wait(STATS_INTERVAL)
                await self._check_alive()
                self._each_second()
        finally:
            await self.close()

    def end(self, reason: str) -> None:
        """Make `watch` end."""
        self.connection.end(reason)

    async def close(self) -> None:
        """Free everything. Called once."""
        if self._viewing is not None:
            self._viewing.stop()
        await self._finish()
        for task in self._drains:
            task.cancel()
        for result in await asyncio.gather(*self._drains, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("session %s: receiving failed", self.session.id, exc_info=result)
        await self.connection.close()

    def _begin(self) -> None:
        self.session.start()

    def _show(self, viewing: Viewing, offer: Offer) -> None:
        viewing.add_to(self.connection.rtc, "sendrecv", with_sound=offer.wants_audio)

    async def _finish(self) -> None:
        await self.session.close()

    def _undecoded(self) -> int:
        return sum(map(decoding.dropped, self.connection.rtc.getReceivers()))

    def _each_second(self) -> None:
        self._steering.look()
        self.session.tell_stats()

    async def _check_alive(self) -> None:
        now, connected = time.monotonic(), self.connection.connected
        if connected is None:
            if now - self.connection.began > CONNECT_TIMEOUT:
                self.end(f"not connected within {CONNECT_TIMEOUT:g} s")
        elif now - max(connected, self.session.last_picture) > MEDIA_SILENCE:
            self.end(f"no picture for {MEDIA_SILENCE:g} s")

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._drain(self._receive_video(track))
        else:
            self.session.has_sound = True
            self._drain(drain_audio(track, self.session.hear))

    async def _receive_video(self, track: MediaStreamTrack) -> None:
        await drain_video(track, self.session.receive)
        self.end("its video ended")

    def _drain(self, work: Coroutine[None, None, None]) -> None:
        self._drains.append(asyncio.create_task(work))

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != "control":
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._hear)
        session = self.session
        names, words = session.background_names(), session.words
        self._send(control.hello(session.id, self._model, names, words, session.phrases))
        self._tell(session.state)

    def _hear(self, text: str | bytes) -> None:
        parsed = control.parse(text)
        if isinstance(parsed.request, SegstreamError):
            self._tell(Rejected(parsed.number, parsed.request))
            return
        seen = parsed.request.rtp if isinstance(parsed.request, AddPoint | AddBox) else None
        index = self._viewing.video.index_of(seen) if self._viewing is not None else None
        self.session.request(parsed.number, parsed.request, index, self._tell)

    def _tell(self, event: Event) -> None:
        if self._channel is None and isinstance(event, Rejected):
            log.warning("session %s: %s", self.session.id, event.error)
        self._send(control.encode(event))

    def _send(self, text: str) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount <= MAX_UNSENT:
            channel.send(text)
