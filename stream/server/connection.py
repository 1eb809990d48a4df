"""One RTCPeerConnection, from the answer to its end."""

import asyncio
import contextlib
import logging
import time

from aiortc import RTCPeerConnection, RTCSessionDescription

from stream.errors import Busy, InputError, LimitError, OfferError
from stream.limits import CLOSE_TIMEOUT, MAX_CANDIDATES
from stream.network import Network
from stream.server import ice
from stream.server.answer import with_first, with_public_address
from stream.server.codecs import with_offered_profile
from stream.server.offer import Offer
from stream.server.trickle import Fragment

log = logging.getLogger(__name__)


class Connection:
    """name: for the log. rtc: to which tracks are added before `answer`.

    began, connected: time.monotonic(); None until it is connected.
    """

    def __init__(self, name: str, network: Network) -> None:
        self.rtc = RTCPeerConnection(ice.configuration(network))
        self.began = time.monotonic()
        self.connected: float | None = None
        self._name = name
        self._network = network
        self._end = asyncio.Event()
        self._reason = "closed by the server"
        self._ufrags: frozenset[str] = frozenset()
        self._candidates = 0
        self.rtc.on("connectionstatechange", self._on_state)

    async def answer(self, offer: Offer, reached_at: str | None = None) -> str:
        """The answer's SDP. reached_at: the address at which the peer found this server.

        Raises OfferError, Busy.
        """
        self._ufrags = offer.ufrags
        try:
            await self.rtc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            with ice.ports_within(self._network.udp_ports):
                await self.rtc.setLocalDescription(await self.rtc.createAnswer())
        except OSError:
            raise
        except Exception as error:
            # aiortc 1.16 raises what it happens to stumble over, AttributeError and KeyError too.
            text = f"offer cannot be answered: {type(error).__name__} {error}"[:200]
            raise OfferError(text) from error
        sdp = with_offered_profile(self.rtc.localDescription.sdp, offer.formats)
        if "a=candidate:" not in sdp:
            raise Busy("no UDP port is free for another connection; try again later")
        if self._network.public_address is not None:
            return with_public_address(sdp, self._network.public_address)
        return with_first(sdp, reached_at) if reached_at else sdp

    def is_restart(self, fragment: Fragment) -> bool:
        """Whether a fragment begins ICE anew (RFC 9725 section 4.3.3), which aiortc cannot."""
        return fragment.ufrag is not None and fragment.ufrag not in self._ufrags

    async def add_candidates(self, fragment: Fragment) -> None:
        """Try what the peer has found since its offer. Raises InputError, LimitError."""
        self._candidates += len(fragment.candidates)
        if self._candidates > MAX_CANDIDATES:
            raise LimitError(f"more than {MAX_CANDIDATES} candidates were sent")
        for candidate in fragment.candidates:
            try:
                await self.rtc.addIceCandidate(candidate)
            except Exception as error:
                raise InputError(
                    f"candidate of {candidate.ip[:60]} cannot be used: {error}"[:200]
                ) from error

    @property
    def has_ended(self) -> bool:
        return self._end.is_set()

    def end(self, reason: str) -> None:
        """Let `wait` return; the first reason counts."""
        if not self._end.is_set():
            self._reason = reason
            self._end.set()

    async def wait(self, seconds: float) -> None:
        """Until the end, or so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._end.wait()

    async def close(self) -> None:
        """Free everything; a connection that does not end by itself is abandoned."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.rtc.close()
        except Exception:
            log.exception("%s: its connection did not close", self._name)
        lasted = time.monotonic() - self.began
        log.info("%s: ended after %.1f s, %s", self._name, lasted, self._reason)

    def _on_state(self) -> None:
        state = self.rtc.connectionState
        if state == "connected" and self.connected is None:
            self.connected = time.monotonic()
        if state in ("failed", "closed"):
            self.end(f"connection {state}")
