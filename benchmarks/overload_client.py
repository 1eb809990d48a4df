"""The peer of benchmarks.overload: sends pictures that were encoded before, reads what returns.

    python -m benchmarks.overload_client URL

So it costs little: what it takes from the server is a decoder. Each picture bears its number as
eight large blocks, black or white, which survive blur and half the size; a line of JSON on standard
output for each that returns: [when, age] in seconds of time.monotonic().
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcrtpsender import RTCRtpSender

from stream.egress.encoder import H264Encoder, Target
from stream.server import patches
from stream.server.patches import sending

WIDTH, HEIGHT, RATE = 2560, 1440, 30
BOX = 1000, 300, 1560, 860
"""Left, top, right and bottom of what is tracked."""

BITS = 8
COUNT = 2**BITS
"""Pictures until they begin again: an age is known up to 8.5 s."""

KEYFRAME = 16
"""A key frame is never further away, when one is asked for."""

BITRATE = 6_000_000
START_TIMEOUT = 60.0


def scene(index: int, texture: np.ndarray) -> av.VideoFrame:
    """A soft texture that moves, with a bright square to be tracked, and the number below."""
    at = index * WIDTH // COUNT
    pixels = np.ascontiguousarray(texture[:, at : at + WIDTH])
    luma = pixels[:HEIGHT]
    x0, y0, x1, y1 = BOX
    luma[y0:y1, x0:x1] = 225
    block = WIDTH // BITS
    for bit in range(BITS):
        luma[HEIGHT - 240 :, bit * block : (bit + 1) * block] = 235 if index >> bit & 1 else 16
    pixels[HEIGHT:] = 128
    return av.VideoFrame.from_ndarray(pixels, "yuv420p")


def number(luma: np.ndarray) -> int:
    """What `scene` has written. luma: uint8 [H, W], of any size."""
    height, width = luma.shape
    row = round(height * (HEIGHT - 120) / HEIGHT)
    middles = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(luma[row, middle] > 125) << bit for bit, middle in enumerate(middles))


def encode() -> list[tuple[bytes, bool]]:
    """All pictures, and whether each is a key frame."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 3 // 2, WIDTH * 2), np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (31, 31), 0), None, 60, 180, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    encoder, target = H264Encoder(), Target(BITRATE, BITRATE)
    pictures = []
    for index in range(COUNT):
        made = encoder.encode(scene(index, texture), index * 3000, target, index % KEYFRAME == 0)
        assert made is not None
        pictures.append((made.data, made.keyframe))
    return pictures


class Encoded(MediaStreamTrack):
    """Plays what was encoded. sent: when each number left, the last time."""

    kind = "video"

    def __init__(self, pictures: Sequence[tuple[bytes, bool]]) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        self._pictures = pictures
        self._index = 0
        self._count = 0
        self._began = time.monotonic()

    def negotiated(self, codec: str) -> None:
        assert codec == "H264"

    def want_keyframe(self) -> None:
        self._index = (self._index + KEYFRAME - 1) // KEYFRAME * KEYFRAME

    def report(self, bitrate: int) -> None:
        """The rate is fixed."""

    def lost(self, share: float) -> None:
        """Likewise."""

    async def recv(self) -> "av.Packet[Any]":
        await asyncio.sleep(max(self._began + self._count / RATE - time.monotonic(), 0))
        index = self._index % COUNT
        packet = av.Packet(self._pictures[index][0])
        packet.pts, packet.time_base = self._count * 90_000 // RATE, Fraction(1, 90_000)
        self._index += 1
        self._count += 1
        self.sent[index] = time.monotonic()
        return packet


async def run(url: str) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = Encoded(encode())
    transceiver = connection.addTransceiver(track, "sendrecv")
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([c for c in capabilities if c.mimeType == "video/H264"])
    sending.feed(transceiver.sender, track)
    channel = connection.createDataChannel("control")

    async def look(returned: MediaStreamTrack) -> None:
        while True:
            picture = await returned.recv()
            now = time.monotonic()
            plane = picture.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(picture.height, plane.line_size)
            sent = track.sent.get(number(luma[:, : picture.width]))
            if sent is not None:
                print(json.dumps([now, now - sent]), flush=True)

    tasks: list[asyncio.Task[None]] = []
    connection.on("track", lambda returned: tasks.append(asyncio.create_task(look(returned))))
    await connection.setLocalDescription(await connection.createOffer())
    offer = connection.localDescription
    async with aiohttp.ClientSession() as http:
        body = {"type": offer.type, "sdp": offer.sdp}
        async with http.post(f"{url}/rtc", json=body) as response:
            answer = await response.json()
    opened = asyncio.Event()
    channel.on("open", opened.set)
    await connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    async with asyncio.timeout(START_TIMEOUT):
        await opened.wait()
    channel.send(json.dumps({"type": "effect", "name": "blur"}))
    box = {**dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True)), "object": None}
    channel.send(json.dumps({"type": "box", **box}))
    await asyncio.sleep(3600)


def main() -> None:
    try:
        os.nice(-5)  # it stands for another machine
    except OSError:
        print("the client runs at the server's priority, so it is late too", file=sys.stderr)
    cv2.setNumThreads(1)
    patches.apply()
    asyncio.run(run(sys.argv[1]))


if __name__ == "__main__":
    main()
