"""The peer of benchmarks.overload: sends pictures that were encoded before, reads what returns.

    python -m benchmarks.overload_client URL WIDTHxHEIGHT

So it costs little: what it takes from the server is a decoder. Each picture bears its number as
eight large blocks, black or white, which survive blur and half the size; a line of JSON on standard
output for each that returns: [when, age] in seconds of time.monotonic(), and its number, and when
the last of its packets came.
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

RATE = 30
BOX = 0.39, 0.21, 0.61, 0.6
"""Left, top, right and bottom of what is tracked, as shares of the sides."""

NUMBER = 1 / 6
"""Of the height, for the number."""

BITS = 8
COUNT = 2**BITS
"""Pictures until they begin again: an age is known up to 8.5 s."""

KEYFRAME = 16
"""A key frame is never further away, when one is asked for."""

BITRATE = 6_000_000
START_TIMEOUT = 60.0


def box(width: int, height: int) -> tuple[int, int, int, int]:
    """BOX in pixels."""
    x0, y0, x1, y1 = BOX
    return round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)


def scene(index: int, texture: np.ndarray) -> av.VideoFrame:
    """A soft texture that moves, with a bright square to be tracked, and the number below.

    texture: uint8 [H * 3 / 2, W * 2], of a picture of W x H.
    """
    height, width = texture.shape[0] * 2 // 3, texture.shape[1] // 2
    at = index * width // COUNT
    pixels = np.ascontiguousarray(texture[:, at : at + width])
    luma = pixels[:height]
    x0, y0, x1, y1 = box(width, height)
    luma[y0:y1, x0:x1] = 225
    block = width // BITS
    for bit in range(BITS):
        shade = 235 if index >> bit & 1 else 16
        luma[round(height * (1 - NUMBER)) :, bit * block : (bit + 1) * block] = shade
    pixels[height:] = 128
    return av.VideoFrame.from_ndarray(pixels, "yuv420p")


def number(luma: np.ndarray) -> int:
    """What `scene` has written. luma: uint8 [H, W], of any size."""
    height, width = luma.shape
    row = round(height * (1 - NUMBER / 2))
    middles = [round((bit + 0.5) * width / BITS) for bit in range(BITS)]
    return sum(int(luma[row, middle] > 125) << bit for bit, middle in enumerate(middles))


def encode(width: int, height: int) -> list[tuple[bytes, bool]]:
    """All pictures, and whether each is a key frame."""
    noise = np.random.default_rng(0).integers(0, 255, (height * 3 // 2, width * 2), np.uint8)
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


async def run(url: str, width: int, height: int) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = Encoded(encode(width, height))
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
            index = number(luma[:, : picture.width])
            sent = track.sent.get(index)
            if sent is not None:
                print(json.dumps([now, now - sent, index, picture.opaque]), flush=True)

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
    corners = dict(zip(("x0", "y0", "x1", "y1"), box(width, height), strict=True))
    channel.send(json.dumps({"type": "box", **corners, "object": None}))
    await asyncio.sleep(3600)


def main() -> None:
    try:
        os.nice(-5)  # it stands for another machine
    except OSError:
        print("the client runs at the server's priority, so it is late too", file=sys.stderr)
    cv2.setNumThreads(1)
    patches.apply()
    width, height = map(int, sys.argv[2].split("x"))
    asyncio.run(run(sys.argv[1], width, height))


if __name__ == "__main__":
    main()
