"""One who watches a camera and may point into it: a peer whose session is not its own."""

import json
import time
from collections.abc import Callable, Mapping

from aiortc import RTCDataChannel

from stream.limits import CONNECT_TIMEOUT
from stream.server.peer import Peer
from stream.session import Session


class CameraViewer(Peer):
    """session: of the camera; it goes on when the viewer is gone. describe: the camera's state,
    which the viewer is told each second."""

    def __init__(
        self, session: Session, model: str, describe: Callable[[], Mapping[str, object]]
    ) -> None:
        super().__init__(lambda _: session, model)
        self._describe = describe

    def _begin(self) -> None:
        self.session.follow(self._tell)

    async def _finish(self) -> None:
        self.session.unfollow(self._tell)
        self.session.unwatch(self._watching)

    def _each_second(self) -> None:
        self._send_camera()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        super()._on_channel(channel)
        self._send_camera()

    def _send_camera(self) -> None:
        self._send(json.dumps({"type": "camera", **self._describe()}))

    def _check_alive(self) -> None:
        if self.session.has_ended:
            self.end("the camera was removed")
        if self._connected is None and time.monotonic() - self._began > CONNECT_TIMEOUT:
            self.end(f"not connected within {CONNECT_TIMEOUT:g} s")
