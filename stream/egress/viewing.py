"""The tracks by which one viewer gets a session's pictures and sound."""

import av
from aiortc import RTCPeerConnection, RTCRtpSender

from stream.egress.webrtc import AudioOutput, VideoOutput
from stream.frames import Frame
from stream.mailbox import Mailbox
from stream.session import Session

CODECS = ("video/VP8", "video/H264", "video/rtx")
"""In order of preference. As aiortc 1.16 encodes 640x480, VP8 takes 3.6 ms a frame and H264
(preset medium) 17.5."""


class Viewing:
    """A place among the viewers of a session, until `stop`. Raises Busy when there is none.

    is_first: nobody else's track sends the same pictures uncopied.
    """

    def __init__(self, session: Session, is_first: bool) -> None:
        self._session = session
        self._frames = session.watch()
        self.video = video_track(self._frames, is_first)
        self.audio = AudioOutput(lambda: self.video.delay)

    def add_to(self, connection: RTCPeerConnection, direction: str, with_sound: bool) -> None:
        """Add the tracks to a connection that is going to answer; direction: "sendrecv" or
        "sendonly"."""
        video = connection.addTransceiver(self.video, direction)
        self.video.sender = video.sender
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences(
            [codec for name in CODECS for codec in capabilities if codec.mimeType == name]
        )
        if with_sound:
            connection.addTransceiver(self.audio, direction)
            self._session.listen(self.audio.receive)

    def stop(self) -> None:
        """Give the place back."""
        self._session.unwatch(self._frames)
        self._session.unlisten(self.audio.receive)
        self.video.stop()
        self.audio.stop()


def video_track(frames: Mailbox[Frame], is_first: bool) -> VideoOutput:
    """The track that sends one viewer the pictures of its mailbox, encoded for it alone."""
    return VideoOutput(frames) if is_first else CopiedOutput(frames)


class CopiedOutput(VideoOutput):
    """Sends pictures that others send too.

    aiortc's H264 encoder writes into the picture whether it is to be a keyframe: of two encoders,
    one would take away the keyframe that the other's viewer waits for.
    """

    async def recv(self) -> av.VideoFrame:
        return _copy(await super().recv())


def _copy(picture: av.VideoFrame) -> av.VideoFrame:
    """0.1 ms for 720p."""
    copy = av.VideoFrame(picture.width, picture.height, picture.format.name)
    if [plane.line_size for plane in copy.planes] != [plane.line_size for plane in picture.planes]:
        copy = av.VideoFrame.from_ndarray(picture.to_ndarray(), format=picture.format.name)
    else:
        for plane, source in zip(copy.planes, picture.planes, strict=True):
            plane.update(memoryview(source))  # type: ignore[arg-type]  # any buffer
    copy.pts = picture.pts
    if picture.time_base is not None:
        copy.time_base = picture.time_base
    return copy
