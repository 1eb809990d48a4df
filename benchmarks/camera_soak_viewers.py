"""The viewers of benchmarks.camera_soak: they come and go each time they are told to.

    python -m benchmarks.camera_soak_viewers URL

For each line on standard input two viewers of the WHEP endpoint come, one after the other, stay
for STAY seconds and go: the first asks for its end (DELETE), the second only closes its connection.
Then a line of JSON on standard output: how many pictures each has seen.
"""

import asyncio
import json
import sys
from urllib.parse import urljoin

import aiohttp
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from stream.server import patches

STAY, APART = 10.0, 3.0
"""Seconds."""


async def visit(http: aiohttp.ClientSession, url: str, *, asks: bool) -> int:
    """One viewer's coming and going; the number of pictures it has seen."""
    seen = 0

    async def watch(track: MediaStreamTrack) -> None:
        nonlocal seen
        try:
            while True:
                await track.recv()
                seen += 1
        except MediaStreamError:
            return

    tasks: list[asyncio.Task[None]] = []
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.on("track", lambda track: tasks.append(asyncio.create_task(watch(track))))
    connection.addTransceiver("video", "recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp"}
    async with http.post(url, data=connection.localDescription.sdp, headers=headers) as response:
        answer = await response.text()
        if response.status != 201:
            raise RuntimeError(f"{response.status} {answer}")
        location = urljoin(url, response.headers["Location"])
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(STAY)
    if asks:
        async with http.delete(location) as response:
            response.raise_for_status()
    await connection.close()
    await asyncio.gather(*tasks)
    return seen


async def run(url: str) -> None:
    # A connection for each request, so that what the server holds does not depend on when they end.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:

        async def second() -> int:
            await asyncio.sleep(APART)
            return await visit(http, url, asks=False)

        while await asyncio.to_thread(sys.stdin.readline):
            print(
                json.dumps(await asyncio.gather(visit(http, url, asks=True), second())), flush=True
            )


if __name__ == "__main__":
    patches.apply()
    asyncio.run(run(sys.argv[1]))
