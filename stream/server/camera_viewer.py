"""One who watches a camera and may point into it: a peer whose session is not its own."""

import json
import time
from collections.abc import Callable, Mapping

from aiortc import MediaStreamTrack, RTCDataChannel

from stream.limits import CONNECT_TIMEOUT, VIEWER_SILENCE
from stream.network import Network
from stream.server.offer import Offer
from stream.server.peer import Peer
from stream.server.reports import Reports
from stream.server.viewing import Viewing
from stream.session import Session


class CameraViewer(Peer):
    """session: of the camera; it goes on when the viewer is gone. describe: the camera's state,
    which the viewer is told each second."""

    def __init__(
        self,
        session: Session,
        model: str,
        network: Network,
        describe: Callable[[], Mapping[str, object]],
    ) -> None:
        super().__init__(lambda _: session, model, network, "rtc")
        self._describe = describe
        self._reports = Reports()
        self._heard = 0.0

    def _begin(self) -> None:
        self.session.follow(self._tell)

    def _show(self, viewing: Viewing, offer: Offer) -> None:
        viewing.add_to(self.connection.rtc, "sendonly", viewing.hears(offer))

    def _on_track(self, track: MediaStreamTrack) -> None:
        """What a viewer sends is nothing of the camera's."""

    async def _finish(self) -> None:
        self.session.unfollow(self._tell)

    def _each_second(self) -> None:
        self._send_camera()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        super()._on_channel(channel)
        self._send_camera()

    def _send_camera(self) -> None:
        self._send(json.dumps({"type": "camera", **self._describe()}))

    async def _check_alive(self) -> None:
        """It sends no pictures that could stay away, so its reports tell whether it is there."""
        if self.session.has_ended:
            self.end("the camera was removed")
        now, connected = time.monotonic(), self.connection.connected
        if connected is None:
            if now - self.connection.began > CONNECT_TIMEOUT:
                self.end(f"not connected within {CONNECT_TIMEOUT:g} s")
            return
        sender = self._viewing.sender if self._viewing is not None else None
        if sender is not None and await self._reports.have_come(sender):
            self._heard = now
        if now - max(connected, self._heard) > VIEWER_SILENCE:
            self.end(f"no report for {VIEWER_SILENCE:g} s")
