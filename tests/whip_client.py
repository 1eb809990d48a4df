"""WHIP publishers and WHEP viewers for tests, on aiortc."""

from typing import Any

import aiohttp
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from rtc_client import Client

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


class Party(Client):
    """One end of WHIP or WHEP: no control channel, SDP as the body."""

    def __init__(self, *sent: MediaStreamTrack, watches: tuple[str, ...] = ()) -> None:
        self._prepare(RTCPeerConnection(RTCConfiguration(iceServers=[])))
        for track in sent:
            self.connection.addTransceiver(track, "sendonly")
        for kind in watches:
            self.connection.addTransceiver(kind, "recvonly")
        self.location = ""
        self.etag = ""

    async def begin(self, http: Any, path: str, **headers: str) -> aiohttp.ClientResponse:
        """POST the offer and take the answer; returns once media can flow."""
        offer = (await self.offer())["sdp"]
        response: aiohttp.ClientResponse = await http.post(
            path, data=offer, headers={**SDP, **headers}
        )
        answer = await response.text()
        assert response.status == 201, answer
        self.location = response.headers["Location"]
        self.etag = response.headers["ETag"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return response
