"""libwebrtc, by the package wrtc: publishes a bright square on a dark ground, or watches.

usage: wrtc_peer.py publish|watch URL [TOKEN]; publish prints a line when it is connected, and goes
on until it is killed; watch prints JSON of what it has seen, and ends what it has begun.
"""

import asyncio
import json
import sys
import time

import numpy as np
import webrtc
import whip_http

WIDTH, HEIGHT, RATE = 640, 360, 30
WATCHED = 30
"""Pictures."""

TIMEOUT = 30


def scene():
    """I420."""
    luma = np.full((HEIGHT, WIDTH), 50, np.uint8)
    luma[120:240, 260:380] = 200
    return luma.tobytes() + bytes([128]) * (WIDTH * HEIGHT // 2)


async def offer_and_take(connection, url, token):
    """Returns the URL of what was begun."""
    gathered = asyncio.Event()

    def look(_):
        if connection.ice_gathering_state == webrtc.RTCIceGatheringState.complete:
            gathered.set()

    connection.on("icegatheringstatechange", look)
    await connection.set_local_description(await connection.create_offer())
    async with asyncio.timeout(TIMEOUT):
        await gathered.wait()
    sdp = connection.local_description.sdp
    answer, location = await asyncio.to_thread(whip_http.begin, url, sdp, token)
    description = webrtc.RTCSessionDescriptionInit(type="answer", sdp=answer)
    await connection.set_remote_description(description)
    return location


async def publish(url, token):
    connection = webrtc.RTCPeerConnection()
    generator = webrtc.VideoTrackGenerator()
    sendonly = webrtc.RTCRtpTransceiverInit(direction="sendonly")
    connection.add_transceiver(generator.track, sendonly)
    await offer_and_take(connection, url, token)
    writer, pixels = generator.writable.get_writer(), scene()
    began, sent, is_told = time.monotonic(), 0, False
    while True:
        described = webrtc.VideoFrameBufferInit(
            format="I420",
            coded_width=WIDTH,
            coded_height=HEIGHT,
            timestamp=sent * 1_000_000 // RATE,
        )
        await writer.write(webrtc.VideoFrame(pixels, described))
        if not is_told and connection.connection_state == webrtc.RTCPeerConnectionState.connected:
            print("publishing", flush=True)
            is_told = True
        sent += 1
        await asyncio.sleep(max(began + sent / RATE - time.monotonic(), 0))


async def watch(url, token):
    connection = webrtc.RTCPeerConnection()
    recvonly = webrtc.RTCRtpTransceiverInit(direction="recvonly")
    transceiver = connection.add_transceiver("video", recvonly)
    location = await offer_and_take(connection, url, token)
    described = webrtc.MediaStreamTrackProcessorInit(transceiver.receiver.track)
    reader = webrtc.MediaStreamTrackProcessor(described).readable.get_reader()
    async with asyncio.timeout(TIMEOUT):
        for _ in range(WATCHED):
            frame = (await reader.read()).value
            pixels = bytearray(frame.allocation_size())
            [luma, *_] = await frame.copy_to(pixels)
            size = frame.coded_width, frame.coded_height
            frame.close()

    def at(x, y):
        return pixels[luma.offset + int(size[1] * y) * luma.stride + int(size[0] * x)]

    print(json.dumps({"size": size, "middle": at(0.5, 0.5), "corner": at(0.05, 0.05)}))
    await asyncio.to_thread(whip_http.end, location, token)
    connection.close()


if __name__ == "__main__":
    does, url, *token = sys.argv[1:]
    asyncio.run({"publish": publish, "watch": watch}[does](url, *(token or [None])))
