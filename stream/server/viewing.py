"""The tracks by which one peer gets a session's pictures and sound."""

from aiortc import RTCPeerConnection, RTCRtpSender

from stream.egress.encoder import CODECS
from stream.egress.webrtc import AudioOutput, VideoOutput
from stream.server.offer import Offer
from stream.server.patches import playout, sending
from stream.session import Session


class Viewing:
    """A place among the viewers of a session, until `stop`. Raises Busy when there is none.

    sender: of the pictures, once there is one.
    """

    def __init__(self, session: Session) -> None:
        session.enter()
        self._session = session
        self._has_stopped = False
        self.sender: RTCRtpSender | None = None
        self.video = VideoOutput(session.broadcast)
        self.audio = AudioOutput(lambda: self.video.delay)

    def hears(self, offer: Offer) -> bool:
        """Whether sound is to be promised: also before there is some, for who only watches cannot
        be told later."""
        return offer.wants_audio and (self._session.has_sound or self._session.may_have_sound)

    def add_to(self, connection: RTCPeerConnection, direction: str, with_sound: bool) -> None:
        """Add the tracks to a connection before the peer's offer is set; direction: "sendrecv" or
        "sendonly"."""
        self.sender = add_video(connection, self.video, direction)
        if with_sound:
            connection.addTransceiver(self.audio, direction)
            self._session.listen(self.audio.receive)

    def stop(self) -> None:
        """Give the place back; doing it again changes nothing."""
        if self._has_stopped:
            return
        self._has_stopped = True
        self._session.leave()
        self._session.unlisten(self.audio.receive)
        self.video.stop()
        self.audio.stop()


def add_video(
    connection: RTCPeerConnection, video: VideoOutput, direction: str = "sendrecv"
) -> RTCRtpSender:
    """Codecs are preferred in the order of encoder.CODECS."""
    transceiver = connection.addTransceiver(video, direction)
    sender = transceiver.sender
    sending.feed(sender, video)
    playout.show_at_once(sender)
    video.last_timestamp = lambda: sending.last_timestamp(sender)
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    wanted = (*(f"video/{name}" for name in CODECS), "video/rtx")
    transceiver.setCodecPreferences(
        [codec for name in wanted for codec in capabilities if codec.mimeType == name]
    )
    return sender
