"""A click names the picture it was made on by the RTP timestamp that the browser saw."""

import asyncio
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver

from stream.egress.broadcast import Broadcast
from stream.egress.webrtc import LONGEST_SENDING, VideoOutput
from stream.frames import Frame
from stream.mailbox import Mailbox
from stream.server import patches
from stream.server.viewing import add_video


async def test_the_timestamp_of_a_sent_picture_leads_back_to_its_frame() -> None:
    patches.apply()
    frames: Mailbox[Frame] = Mailbox()
    broadcast = Broadcast(frames, 2_000_000)
    broadcast.start()
    sending, receiving = RTCPeerConnection(), RTCPeerConnection()
    timestamps: list[int] = []

    def listen(track: object) -> None:
        (receiver,) = receiving.getReceivers()
        assert isinstance(receiver, RTCRtpReceiver)
        handle = receiver._handle_rtp_packet

        async def record(packet, arrival_time_ms):  # type: ignore[no-untyped-def]
            if packet.timestamp not in timestamps[-1:]:
                timestamps.append(packet.timestamp)
            await handle(packet, arrival_time_ms=arrival_time_ms)

        receiver._handle_rtp_packet = record

    receiving.on("track", listen)
    try:
        output = VideoOutput(broadcast)
        add_video(sending, output)
        await sending.setLocalDescription(await sending.createOffer())
        await receiving.setRemoteDescription(sending.localDescription)
        await receiving.setLocalDescription(await receiving.createAnswer())
        await sending.setRemoteDescription(receiving.localDescription)
        async with asyncio.timeout(20):
            index = 0
            while len(timestamps) < 12:
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index % 256, np.uint8))
                picture.pts, picture.time_base = 5000 + 3000 * index, Fraction(1, 90_000)
                frames.put(Frame(picture, index, picture.pts, picture.time_base, time.monotonic()))
                index += 1
                await asyncio.sleep(0.03)
        first = output.index_of(timestamps[0])
        assert first is not None
        for timestamp in timestamps[:-2]:
            found = output.index_of(timestamp)
            assert found is not None
            passed = (timestamp - timestamps[0]) % 2**32
            assert abs(passed - (found - first) * 3000) <= 1  # aiortc cuts off fractions
        assert output.index_of(None) is None
        assert output.index_of((timestamps[0] + 1) % 2**32) is None
    finally:
        await broadcast.close()
        await sending.close()
        await receiving.close()


async def test_how_long_sending_takes_counts_and_a_slow_viewer_does_not() -> None:
    frames: Mailbox[Frame] = Mailbox()
    broadcast = Broadcast(frames, 2_000_000)
    broadcast.start()
    output = VideoOutput(broadcast)
    output.negotiated("VP8")

    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))

    async def show(index: int) -> None:
        frames.put(Frame(picture, index, index * 3000, Fraction(1, 90_000), time.monotonic()))
        async with asyncio.timeout(10):
            await output.recv()

    def sending() -> float:
        broadcast.encoding.seconds = 0.0
        return broadcast.expected(picture)

    try:
        await show(0)
        await asyncio.sleep(0.03)
        await show(1)
        assert 0.03 <= sending() <= LONGEST_SENDING
        await asyncio.sleep(2 * LONGEST_SENDING)
        await show(2)
        assert sending() == pytest.approx(LONGEST_SENDING)
        for _ in range(2):
            broadcast.join("VP8").sending.took(0.001)
        assert sending() == pytest.approx(0.001), "one who is slow does not count for the others"
    finally:
        output.stop()
        await broadcast.close()
