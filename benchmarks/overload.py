"""What happens when the machine is suddenly busy with something else?

    python -m benchmarks.overload --json [--quick]

The server's own code, in this process, and the embedded model in its worker; an aiortc peer, in a
process of its own, sends 1280x720 at 30 a second and has the background blurred. Then as many
processes as there are cores, and one more, compute at the same priority, and stop again.

age_ms: how old pictures were when they had been encoded, while the machine was busy. drops: by
cause, while it was busy. levels: the steps of quality that were taken. recovery_s: from the end of
the load until quality was back at its best; null when it was not within the time given, or when it
had never fallen.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from fractions import Fraction
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
from aiohttp import web
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from benchmarks import machine
from stream.overload import Ages
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.settings import Settings

WARM = 6.0
START_TIMEOUT, LOOK = 60.0, 0.1
BUSY, QUICK_BUSY = 30.0, 12.0
RECOVERY, QUICK_RECOVERY = 180.0, 75.0
WIDTH, HEIGHT = 1280, 720


class Scene(MediaStreamTrack):
    """A soft texture that moves, 30 pictures a second."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 3 // 2, WIDTH * 2), np.uint8)
        soft = cv2.GaussianBlur(noise, (15, 15), 0)
        self._texture = cv2.normalize(soft, None, 20, 230, cv2.NORM_MINMAX)  # type: ignore[call-overload]
        self._count = 0
        self._began = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(max(self._began + self._count / 30 - time.monotonic(), 0))
        at = self._count * 4 % WIDTH
        pixels = np.ascontiguousarray(self._texture[:, at : at + WIDTH])
        picture = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        picture.pts, picture.time_base = self._count * 3000, Fraction(1, 90_000)
        self._count += 1
        return picture


async def _send(url: str) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTrack(Scene())
    channel = connection.createDataChannel("control")

    async def look(track: MediaStreamTrack) -> None:
        while True:
            await track.recv()

    tasks: list[asyncio.Task[None]] = []
    connection.on("track", lambda track: tasks.append(asyncio.create_task(look(track))))
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
    box = {"x0": 400, "y0": 200, "x1": 800, "y1": 600, "object": None}
    channel.send(json.dumps({"type": "box", **box}))
    await asyncio.sleep(3600)


def _send_forever(url: str) -> None:
    from stream.server import patches

    patches.apply()
    asyncio.run(_send(url))


def _compute() -> None:
    while True:
        sum(range(100_000))


async def _measure(busy: float, recovery: float) -> dict[str, Any]:
    app = create_app(Settings())
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    spawn = multiprocessing.get_context("spawn")
    sender = spawn.Process(target=_send_forever, args=(f"http://127.0.0.1:{port}",), daemon=True)
    sender.start()
    load = [spawn.Process(target=_compute, daemon=True) for _ in range((os.cpu_count() or 1) + 1)]
    try:
        for _ in range(int(START_TIMEOUT / LOOK)):
            if app[PEERS]._peers:
                break
            await asyncio.sleep(LOOK)
        [peer] = app[PEERS]._peers.values()
        overload, broadcast = peer._steering.overload, peer.broadcast
        ages: list[float] = []
        broadcast.ages = _Noted(ages)
        await asyncio.sleep(WARM)
        drops = _drops(peer)
        ages.clear()
        for process in load:
            process.start()
        levels = [overload.position]
        ends = time.monotonic() + busy
        while time.monotonic() < ends:
            await asyncio.sleep(LOOK)
            if overload.position != levels[-1]:
                levels.append(overload.position)
        seen, lost = list(ages), _drops(peer)
        for process in load:
            process.kill()
        ended, recovered = time.monotonic(), None
        while len(levels) > 1 and recovered is None and time.monotonic() - ended < recovery:
            await asyncio.sleep(LOOK)
            if overload.position != levels[-1]:
                levels.append(overload.position)
            if overload.position == 0 and len(levels) > 1:
                recovered = round(time.monotonic() - ended, 1)
        cuts = statistics.quantiles(seen, n=100, method="inclusive")
        return {
            "age_ms": {
                "p50": round(cuts[49] * 1e3),
                "p95": round(cuts[94] * 1e3),
                "max": round(max(seen) * 1e3),
            },
            "fps": round(len(seen) / busy, 1),
            "drops": {cause: lost[cause] - drops[cause] for cause in lost},
            "levels": levels,
            "recovery_s": recovered,
        }
    finally:
        for process in (sender, *load):
            if process.pid is not None:
                process.kill()
        await runner.cleanup()


class _Noted(Ages):
    """Also writes all ages down."""

    def __init__(self, into: list[float]) -> None:
        super().__init__()
        self._into = into

    def add(self, age: float) -> None:
        self._into.append(age)
        Ages.add(self, age)


def _drops(peer: Any) -> dict[str, int]:
    session, broadcast = peer.session, peer.broadcast
    return {
        "compose": session.passed_over,
        "encode": broadcast.frames.dropped,
        "late": broadcast.drops.late,
        "thinned": broadcast.drops.thinned,
        "viewer": peer._video.dropped,
    }


def main() -> None:
    arguments = machine.parser(__doc__).parse_args()
    busy, recovery = (QUICK_BUSY, QUICK_RECOVERY) if arguments.quick else (BUSY, RECOVERY)
    results = asyncio.run(_measure(busy, recovery))
    print(results, file=sys.stderr)
    machine.print_json(results)


if __name__ == "__main__":
    main()
