"""The picture that goes back to a peer: one of many views of a broadcast."""

from aiortc import RTCPeerConnection, RTCRtpSender

from stream.egress.broadcast import Broadcast
from stream.egress.encoder import CODECS
from stream.egress.webrtc import VideoOutput
from stream.server.patches import sending


def add_video(
    connection: RTCPeerConnection, broadcast: Broadcast, direction: str = "sendrecv"
) -> VideoOutput:
    """Let a peer watch a broadcast. Call it before the peer's offer is set; stop the track to end.

    Codecs are preferred in the order of encoder.CODECS.
    """
    output = VideoOutput(broadcast)
    transceiver = connection.addTransceiver(output, direction)
    sender = transceiver.sender
    sending.feed(sender, output)
    output.last_timestamp = lambda: sending.last_timestamp(sender)
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    wanted = (*(f"video/{name}" for name in CODECS), "video/rtx")
    transceiver.setCodecPreferences(
        [codec for name in wanted for codec in capabilities if codec.mimeType == name]
    )
    return output
