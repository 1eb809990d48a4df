"""aiortc 1.16 does not know the header extension "playout delay", with which a sender tells a
receiver how long it may hold a picture back (webrtc.org, experiments/rtp-hdrext/playout-delay).

Without it Chromium holds each picture for its estimate of the network's jitter, which it raises
when the server's load varies, and 10 ms for rendering, whatever `jitterBufferTarget` says. With
least and most at 0 it shows what comes at once; where there is sound, still in step with it.
"""

from typing import Any

from aiortc import RTCRtpSender, rtp
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
AT_ONCE = bytes(3)
"""12 bits each of least and most delay, in 10 ms."""


def apply() -> None:
    """Accept the extension where a peer offers it."""
    known = HEADER_EXTENSIONS["video"]
    if all(extension.uri != URI for extension in known):
        id = (
            max(
                extension.id
                for extensions in HEADER_EXTENSIONS.values()
                for extension in extensions
            )
            + 1
        )
        known.append(RTCRtpHeaderExtensionParameters(id=id, uri=URI))


def show_at_once(sender: RTCRtpSender) -> None:
    """Have every packet say so, if the receiver knows the extension. Call it before the answer is
    set."""
    patched: Any = sender
    patched._RTCRtpSender__rtp_header_extensions_map = _Extensions()


class _Extensions(rtp.HeaderExtensionsMap):
    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == URI:
                self._id = extension.id

    def set(self, values: rtp.HeaderExtensions) -> tuple[int, bytes]:
        packed = super().set(values)
        if self._id is None:
            return packed
        others = rtp.unpack_header_extensions(*packed)
        return rtp.pack_header_extensions([*others, (self._id, AT_ONCE)])
