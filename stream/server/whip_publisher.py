"""Publishes to a WHIP endpoint (RFC 9725), as OBS does, with the peer connection of our own.

FFmpeg's muxer is not used: not every PyAV has it, and it hears no request for a key frame and no
estimate of the bitrate, so that whoever watches behind the endpoint would wait for both.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import aiohttp
from aiortc import RTCRtpSender, RTCSessionDescription
from yarl import URL

from stream.egress.publication import Failure
from stream.egress.publisher import LOOK, Refused
from stream.egress.target import Target
from stream.egress.webrtc import AudioOutput, VideoOutput
from stream.limits import MAX_SDP, PUBLISH_OPEN, VIEWER_SILENCE
from stream.network import Network
from stream.server import ice
from stream.server.addresses import Allowed, Guard
from stream.server.answer import with_public_address
from stream.server.connection import Connection
from stream.server.reports import Reports
from stream.server.viewing import add_video
from stream.session import Session

log = logging.getLogger(__name__)

CHUNK = 16 * 1024


class WhipCarrier:
    """One peer connection after the other. The sound goes along if the session has some.

    allowed: where the endpoint may be, and where it may lead on to.
    """

    def __init__(
        self, target: Target, session: Session, network: Network, allowed: Allowed
    ) -> None:
        self._target = target
        self._session = session
        self._network = network
        self._allowed = allowed
        self._video: VideoOutput | None = None
        self._audio: AudioOutput | None = None
        self._before = (0, 0, 0)

    @property
    def sent(self) -> int:
        return self._before[0] + (self._video.sent if self._video else 0)

    @property
    def dropped(self) -> int:
        return self._before[1] + (self._video.dropped if self._video else 0)

    @property
    def has_sound(self) -> bool:
        return self._audio is not None

    @property
    def sound_dropped(self) -> int:
        return self._before[2] + (self._audio.dropped if self._audio else 0)

    async def carry(self, taken: Callable[[], None]) -> tuple[Failure, str]:
        session = self._session
        connection = Connection(f"{session.id}: publishing", self._network)
        self._video = video = VideoOutput(session.broadcast)
        audio = AudioOutput(lambda: video.delay)
        sender = add_video(connection.rtc, video, "sendonly")
        if session.has_sound:
            connection.rtc.addTransceiver(audio, "sendonly")
            session.listen(audio.receive)
            self._audio = audio
        _, token = self._target.endpoint
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limit = aiohttp.ClientTimeout(total=PUBLISH_OPEN)
        guard = Guard(self._allowed, self._target.host)
        connector = aiohttp.TCPConnector(socket_factory=guard)
        async with aiohttp.ClientSession(
            connector=connector, timeout=limit, headers=headers
        ) as http:
            resource: URL | None = None
            try:
                resource, answer = await self._post(http, guard, await self._offer(connection))
                await self._take(connection, answer)
                return await self._watch(connection, video, Reports(), sender, taken)
            finally:
                self._before = (self.sent, self.dropped, self.sound_dropped)
                self._video = self._audio = None
                session.unlisten(audio.receive)
                audio.stop()
                video.stop()
                if resource is not None:
                    await _delete(http, resource)
                connection.end("published no longer")
                await connection.close()

    async def _offer(self, connection: Connection) -> str:
        rtc = connection.rtc
        try:
            with ice.ports_within(self._network.udp_ports):
                await rtc.setLocalDescription(await rtc.createOffer())
        except OSError as error:
            raise Refused(Failure.UNREACHABLE, "no UDP port is free") from error
        sdp: str = rtc.localDescription.sdp
        if self._network.public_address is not None:
            return with_public_address(sdp, self._network.public_address)
        return sdp

    async def _post(
        self, http: aiohttp.ClientSession, guard: Guard, offer: str
    ) -> tuple[URL | None, str]:
        """The resource to be deleted in the end, and the answer."""
        url, _ = self._target.endpoint
        try:
            async with http.post(
                url, data=offer, headers={"Content-Type": "application/sdp"}
            ) as response:
                if response.status in (401, 403):
                    raise Refused(Failure.CREDENTIALS, f"HTTP {response.status}")
                if response.status == 404:
                    raise Refused(Failure.NOT_FOUND, "HTTP 404")
                if response.status != 201:
                    raise Refused(Failure.REFUSED, f"HTTP {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_chunked(CHUNK):
                    body += chunk
                    if len(body) > MAX_SDP:
                        raise Refused(Failure.REFUSED, "its answer is too long")
                return _resource(response), body.decode(errors="replace")
        except TimeoutError as error:
            detail = f"no answer within {PUBLISH_OPEN:g} s"
            raise Refused(Failure.UNREACHABLE, detail) from error
        except (aiohttp.ClientError, ValueError) as error:
            # Its own text may repeat the address.
            failure = Failure.FORBIDDEN if guard.refused else Failure.UNREACHABLE
            raise Refused(failure) from error

    async def _take(self, connection: Connection, answer: str) -> None:
        try:
            async with asyncio.timeout(PUBLISH_OPEN):
                await connection.rtc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except TimeoutError as error:
            raise Refused(Failure.UNREACHABLE) from error
        except Exception as error:
            # aiortc 1.16 raises what it happens to stumble over.
            raise Refused(Failure.REFUSED, "its answer is not understood") from error

    async def _watch(
        self,
        connection: Connection,
        video: VideoOutput,
        reports: Reports,
        sender: RTCRtpSender,
        taken: Callable[[], None],
    ) -> tuple[Failure, str]:
        seen, heard = 0, 0.0
        while not connection.has_ended:
            await connection.wait(LOOK)
            now, connected = time.monotonic(), connection.connected
            if connected is None:
                if now - connection.began > PUBLISH_OPEN:
                    return Failure.UNREACHABLE, "no media path was found"
                continue
            if await reports.have_come(sender):
                heard = now
            if now - max(connected, heard) > VIEWER_SILENCE:
                return Failure.SILENT, f"no report for {VIEWER_SILENCE:g} s"
            if video.sent > seen:
                seen = video.sent
                taken()
        return Failure.CLOSED, ""


def _resource(response: aiohttp.ClientResponse) -> URL | None:
    """What Location names, if it is of the same server: only that gets our token."""
    location = response.headers.get("Location")
    if not location:
        return None
    url = response.url.join(URL(location))
    return url if url.origin() == response.url.origin() else None


async def _delete(http: aiohttp.ClientSession, resource: URL) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(2.0), http.delete(resource):
            pass
