"""One WebRTC peer: its connection, its session, and the watch that ends both."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)

from stream.egress.broadcast import Broadcast
from stream.egress.webrtc import AudioOutput
from stream.errors import OfferError, SegstreamError
from stream.ingest.webrtc import drain_audio, drain_video
from stream.limits import CLOSE_TIMEOUT, CONNECT_TIMEOUT, MAX_UNSENT, MEDIA_SILENCE
from stream.messages import AddBox, AddPoint, Event, Rejected
from stream.server import control
from stream.server.answer import with_start_bitrate
from stream.server.offer import Offer
from stream.server.returned import add_video
from stream.server.steering import Steering
from stream.session import Session

log = logging.getLogger(__name__)

STATS_INTERVAL = 1.0


class Peer:
    """Answers one offer. make_session: gives the session that events are to be told to.

    max_bitrate: bits per second of the picture that goes back.
    """

    def __init__(
        self,
        make_session: Callable[[Callable[[Event], None]], Session],
        model: str,
        max_bitrate: int,
    ) -> None:
        self._model = model
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel: RTCDataChannel | None = None
        self._end = asyncio.Event()
        self._reason = "closed by the server"
        self._began = time.monotonic()
        self._connected: float | None = None
        self._drains: list[asyncio.Task[None]] = []
        self.session = make_session(self._tell)
        self.broadcast = Broadcast(self.session.output, max_bitrate)
        self._video = add_video(self._connection, self.broadcast)
        self._steering = Steering(self.session, self.broadcast)
        self._audio = AudioOutput(lambda: self._video.delay)

    async def answer(self, offer: Offer) -> str:
        """Begin the session and return the answer's SDP. Raises OfferError."""
        self._connection.on("connectionstatechange", self._on_connection_state)
        self._connection.on("track", self._on_track)
        self._connection.on("datachannel", self._on_channel)
        self.session.start()
        self.broadcast.start()
        if offer.returns_audio:
            self._connection.addTransceiver(self._audio, "sendrecv")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except OSError:
            raise
        except Exception as error:
            # aiortc 1.16 raises what it happens to stumble over, AttributeError and KeyError too.
            text = f"offer cannot be answered: {type(error).__name__} {error}"[:200]
            raise OfferError(text) from error
        log.info("session %s: started", self.session.id)
        return with_start_bitrate(self._connection.localDescription.sdp)

    async def watch(self) -> None:
        """Tell statistics each second until the peer is gone, then free everything."""
        try:
            while not self._end.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STATS_INTERVAL):
                        await self._end.wait()
                self._check_alive()
                self._steering.look()
                self.session.tell_stats()
        finally:
            await self.close()

    def end(self, reason: str) -> None:
        """Make `watch` end."""
        if not self._end.is_set():
            self._reason = reason
            self._end.set()

    async def close(self) -> None:
        """Free everything. Called once."""
        await self.session.close()
        await self.broadcast.close()
        self._video.stop()
        self._audio.stop()
        for task in self._drains:
            task.cancel()
        for result in await asyncio.gather(*self._drains, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("session %s: receiving failed", self.session.id, exc_info=result)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.close()
        except Exception:
            log.exception("session %s: its connection did not close", self.session.id)
        log.info(
            "session %s: ended after %.1f s, %s",
            self.session.id,
            time.monotonic() - self._began,
            self._reason,
        )

    def _check_alive(self) -> None:
        now = time.monotonic()
        if self._connected is None:
            if now - self._began > CONNECT_TIMEOUT:
                self.end(f"not connected within {CONNECT_TIMEOUT:g} s")
        elif now - max(self._connected, self.session.last_picture) > MEDIA_SILENCE:
            self.end(f"no picture for {MEDIA_SILENCE:g} s")

    def _on_connection_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected" and self._connected is None:
            self._connected = time.monotonic()
        if state in ("failed", "closed"):
            self.end(f"connection {state}")

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "video":
            self._drain(self._receive_video(track))
        else:
            self._drain(drain_audio(track, self._audio.receive))

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
        self._send(control.hello(session.id, self._model, names, words))
        self.session.tell_state()

    def _hear(self, text: str | bytes) -> None:
        parsed = control.parse(text)
        if isinstance(parsed.request, SegstreamError):
            self._tell(Rejected(parsed.number, parsed.request))
            return
        seen = parsed.request.rtp if isinstance(parsed.request, AddPoint | AddBox) else None
        self.session.request(parsed.number, parsed.request, self._video.index_of(seen))

    def _tell(self, event: Event) -> None:
        self._send(control.encode(event))

    def _send(self, text: str) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount <= MAX_UNSENT:
            channel.send(text)
