"""Colours as Chromium shows them: what goes into our encoders is what is seen."""

import asyncio
import time
from fractions import Fraction
from threading import Thread

import av
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av.video.reformatter import ColorRange

from stream.compose.colour_space import BT601, BT709, ColourSpace
from stream.egress.broadcast import Broadcast
from stream.egress.webrtc import VideoOutput
from stream.frames import Frame
from stream.mailbox import Mailbox
from stream.server import patches
from stream.server.viewing import add_video

pytestmark = pytest.mark.e2e

GREEN = (40, 200, 60)
WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}
UNNAMED = 2

OFFER = """
async (codec) => {
  const peer = (window.peer = new RTCPeerConnection());
  const transceiver = peer.addTransceiver("video", { direction: "recvonly" });
  const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
  transceiver.setCodecPreferences(codecs.filter((each) => each.mimeType === `video/${codec}`));
  await peer.setLocalDescription(await peer.createOffer());
  while (peer.iceGatheringState !== "complete") await new Promise((go) => setTimeout(go, 20));
  return peer.localDescription.sdp;
}
"""

SHOWN = """
async (sdp) => {
  await window.peer.setRemoteDescription({ type: "answer", sdp });
  const video = document.createElement("video");
  const [receiver] = window.peer.getReceivers();
  Object.assign(video, { muted: true, autoplay: true });
  video.srcObject = new MediaStream([receiver.track]);
  document.body.replaceChildren(video);
  for (let at = 0; at < 10; at++) {  // the first ones are coarse
    await new Promise((go) => video.requestVideoFrameCallback(go));
  }
  const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext("2d");
  context.drawImage(video, 0, 0);
  const middle = [video.videoWidth / 2, video.videoHeight / 2, 1, 1];
  return [...context.getImageData(...middle).data].slice(0, 3);
}
"""


def flat(width: int, height: int, matrix: int, full: bool) -> av.VideoFrame:
    assumed = matrix if matrix != UNNAMED else (BT709 if height >= 720 else BT601)
    codes = ColourSpace(*WEIGHTS[assumed], full).codes("#{:02x}{:02x}{:02x}".format(*GREEN))
    planes = [np.full(width * height // n, c) for n, c in zip((1, 4, 4), codes, strict=True)]
    pixels = np.concatenate(planes).astype(np.uint8).reshape(height * 3 // 2, width)
    picture = av.VideoFrame.from_ndarray(pixels, "yuv420p")
    picture.colorspace = matrix
    picture.color_range = ColorRange.JPEG if full else ColorRange.UNSPECIFIED
    return picture


class Sender:
    """Sends one picture again and again to a browser, on an event loop of its own."""

    def __init__(self, picture: av.VideoFrame) -> None:
        self._picture = picture
        self._ended = asyncio.Event()

    async def answer(self, offer: str, answered: list[str]) -> None:
        frames: Mailbox[Frame] = Mailbox()
        broadcast = Broadcast(frames, 2_000_000)
        broadcast.start()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        add_video(connection, VideoOutput(broadcast), "sendonly")
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        answered.append(connection.localDescription.sdp)
        for index in range(2**16):
            if self._ended.is_set():
                break
            times = index * 3000, Fraction(1, 90_000)
            frames.put(Frame(self._picture, index, *times, time.monotonic()))
            await asyncio.sleep(1 / 30)
        await connection.close()
        await broadcast.close()


@pytest.fixture(scope="module")
def page(browser):
    with browser.new_context() as context:
        yield context.new_page()


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
@pytest.mark.parametrize(
    ("matrix", "full"), [(UNNAMED, False), (BT601, False), (BT709, False), (BT709, True)]
)
def test_chromium_shows_the_colour(page, codec, size, matrix, full):
    patches.apply()
    sender = Sender(flat(*size, matrix, full))
    offer, answered = page.evaluate(OFFER, codec), []
    loop = asyncio.new_event_loop()
    thread = Thread(target=lambda: loop.run_until_complete(sender.answer(offer, answered)))
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not answered and time.monotonic() < deadline:
            time.sleep(0.02)
        shown = page.evaluate(SHOWN, answered[0])
    finally:
        loop.call_soon_threadsafe(sender._ended.set)
        thread.join(20)
        page.evaluate("() => window.peer.close()")
        loop.close()
    assert np.abs(np.subtract(shown, GREEN)).max() <= 12, shown
