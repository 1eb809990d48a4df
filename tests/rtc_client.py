"""A WebRTC peer for tests: sends a drawn scene, keeps what comes back."""

import asyncio
import json
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

WAIT = 20.0


async def eventually(condition: Callable[[], object], wait: float = WAIT) -> None:
    """Ask again and again, for what tells nobody that it has changed."""
    for _ in range(int(wait / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {wait} s")


class Scene(MediaStreamTrack):
    """A bright square that moves to and fro over a dark background."""

    kind = "video"

    def __init__(self, width: int = 160, height: int = 120, rate: int = 30) -> None:
        super().__init__()
        self.width, self.height, self.rate = width, height, rate
        self.sent = 0
        self.playing = asyncio.Event()
        self.playing.set()
        self._began = time.monotonic()

    def square(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        side = self.height // 3
        left = self.width // 3 + int(self.width / 6 * np.sin(self.sent / 20))
        return left, side, left + side, 2 * side

    async def recv(self) -> av.VideoFrame:
        due = self._began + self.sent / self.rate
        await asyncio.sleep(max(due - time.monotonic(), 0))
        await self.playing.wait()
        if self.readyState != "live":
            raise MediaStreamError
        picture = np.full((self.height, self.width, 3), 40, np.uint8)
        left, top, right, bottom = self.square()
        picture[top:bottom, left:right] = (230, 230, 60)
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self.sent * 90_000 // self.rate, Fraction(1, 90_000)
        self.sent += 1
        return frame


class Flash(Scene):
    """A dark picture that is white for 100 ms at each full second, when `Tone` beeps."""

    def __init__(self, tone: "Tone") -> None:
        super().__init__()
        self._began = tone.began

    def square(self) -> tuple[int, int, int, int]:
        is_lit = self.sent % self.rate < self.rate // 10
        return (0, 0, self.width, self.height) if is_lit else (0, 0, 0, 0)


class Tone(MediaStreamTrack):
    """Sound in frames of 20 ms at 48 kHz: a beep of 100 ms at each full second."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.playing = asyncio.Event()
        self.playing.set()
        self.began = time.monotonic()

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(self.began + self.sent * 0.02 - time.monotonic(), 0))
        await self.playing.wait()
        times = (np.arange(960) + self.sent * 960) / 48_000
        sound = np.sin(times * 2 * np.pi * 440) * 12_000 * (times % 1 < 0.1)
        frame = av.AudioFrame.from_ndarray(sound.astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 48_000
        frame.pts, frame.time_base = self.sent * 960, Fraction(1, 48_000)
        self.sent += 1
        return frame


class Client:
    """Offers sendrecv video, and audio if given, with a control channel."""

    def __init__(self, video: MediaStreamTrack, audio: MediaStreamTrack | None = None) -> None:
        self._prepare(RTCPeerConnection(RTCConfiguration(iceServers=[])))
        self.connection.addTrack(video)
        if audio is not None:
            self.connection.addTrack(audio)
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", self._on_message)

    def _prepare(self, connection: RTCPeerConnection) -> None:
        self.connection = connection
        self.session = ""
        self.messages: list[dict[str, Any]] = []
        self.pictures: list[av.VideoFrame] = []
        self.sounds: list[av.AudioFrame] = []
        self.arrivals: dict[str, list[float]] = {"video": [], "audio": []}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._number = 0
        self.connection.on("track", self._on_track)

    async def offer(self) -> dict[str, str]:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        description = self.connection.localDescription
        return {"type": description.type, "sdp": description.sdp}

    async def take(self, answer: dict[str, str]) -> None:
        self.session = answer["session"]
        await self.connection.setRemoteDescription(
            RTCSessionDescription(answer["sdp"], answer["type"])
        )

    async def connect(self, http: aiohttp.ClientSession, base: str = "") -> None:
        """Through POST /rtc, until the first picture is back and the channel is open."""
        async with http.post(f"{base}/rtc", json=await self.offer()) as response:
            body = await response.json()
            assert response.status == 200, body
        await self.take(body)
        await self.until(lambda: self.pictures and self.told("hello"))

    async def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and return its answer."""
        self._number += 1
        number = self._number
        self.channel.send(json.dumps({"id": number, **request}))
        return await self.until(
            lambda: next((m for m in self.messages if m.get("id") == number), None)
        )

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    async def until(self, condition: Callable[[], Any], wait: float = WAIT) -> Any:
        """The first true result of `condition`, asked whenever something has come."""
        async with asyncio.timeout(wait):
            while not (result := condition()):
                self._news.clear()
                await self._news.wait()
        return result

    async def close(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_message(self, text: str) -> None:
        self.messages.append(json.loads(text))
        self._news.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._keep(track)))

    async def _keep(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                kept: list[Any] = self.pictures if track.kind == "video" else self.sounds
                kept.append(frame)
                self.arrivals[track.kind].append(time.monotonic())
                del kept[:-300]
                self._news.set()
        except MediaStreamError:
            return
