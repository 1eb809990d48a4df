"""Real peer connections whose packets go over a lossy network: pictures keep coming, and nothing
grows. Both ways lose alike: what is measured is what comes back to the peer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import av
import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_tracker import bright_supervisor
from lossy_relay import LossyRelay, lossy_relay, without_candidates
from moving_pictures import moving_picture
from rtc_client import Client, Scene
from test_webrtc import peers

from stream.limits import MAX_ENCODED, MAX_WAITING_PACKETS, MAX_WAITING_PICTURES
from stream.server.app import create_app
from stream.settings import Settings

pytestmark = pytest.mark.slow

RATE = 30
CALM = 1.0
"""Seconds without loss, after those with it."""

WITHIN = 2.0
"""Seconds in which a picture comes again, whatever was lost."""


class Moving(Scene):
    """Detail all over, so that a picture is several packets."""

    async def recv(self) -> av.VideoFrame:
        paced = await super().recv()
        picture = moving_picture(self.sent)
        picture.pts, picture.time_base = paced.pts, paced.time_base
        return picture


class Call:
    """A peer of the server's own page, behind a relay, and the most that ever waited anywhere."""

    def __init__(self, http: Any, client: Client, relay: LossyRelay) -> None:
        self.client, self.relay = client, relay
        ours = peers(http)._peers[client.session].connection.rtc
        self._receivers = [
            receiver
            for connection in (ours, client.connection)
            for receiver in connection.getReceivers()
            if receiver.track.kind == "video"
        ]
        self.most_packets = self.most_encoded = self.most_decoded = 0

    @property
    def skipped(self) -> int:
        """Gaps that the server has given up."""
        server, _ = self._receivers
        count: int = server._RTCRtpReceiver__jitter_buffer.buffer.counters.skipped
        return count

    async def last(self, seconds: float) -> list[float]:
        """When pictures came back meanwhile."""
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            await asyncio.sleep(0.01)
            for receiver in self._receivers:
                buffer = receiver._RTCRtpReceiver__jitter_buffer.buffer
                queue = receiver._RTCRtpReceiver__decoder_queue
                self.most_packets = max(self.most_packets, len(buffer))
                self.most_encoded = max(self.most_encoded, queue.qsize())
                self.most_decoded = max(self.most_decoded, receiver.track._queue.qsize())
        return [at for at in self.client.arrivals["video"] if at >= began]


@asynccontextmanager
async def call(codec: str = "H264", spread: float = 0.0) -> AsyncIterator[Call]:
    app = create_app(Settings(), bright_supervisor())
    async with TestClient(TestServer(app)) as http, lossy_relay(spread) as relay:
        client = Client(Moving())
        offer = await client.offer()
        offer["sdp"] = without_candidates(offer["sdp"])
        if codec == "VP8":
            offer["sdp"] = offer["sdp"].replace("H264/90000", "H265/90000")
        response = await http.post("/rtc", json=offer)
        answer = await response.json()
        answer["sdp"] = relay.redirect(answer["sdp"])
        assert f"{codec}/90000" in answer["sdp"]
        await client.take(answer)
        await client.until(lambda: client.told("hello") and len(client.pictures) > RATE)
        try:
            yield Call(http, client, relay)
        finally:
            relay.lose(0)
            await client.close()


def longest_gap(times: list[float], began: float, ended: float) -> float:
    return max(after - before for before, after in pairwise([began, *times, ended]))


@pytest.mark.parametrize(
    ("codec", "loss", "spread", "seconds", "share", "gap"),
    [
        ("H264", 0.0, 0.02, 3.0, 0.6, WITHIN),
        ("H264", 0.02, 0.0, 3.0, 0.3, WITHIN),
        ("H264", 0.05, 0.02, 3.0, 0.2, WITHIN),
        # Each of the two ways may well take that long.
        ("H264", 0.25, 0.0, 5.0, 0.02, 2 * WITHIN),
        ("VP8", 0.25, 0.0, 5.0, 0.02, 2 * WITHIN),
    ],
)
async def test_pictures_keep_coming(
    codec: str, loss: float, spread: float, seconds: float, share: float, gap: float
) -> None:
    async with call(codec, spread) as made:
        tasks, began = len(asyncio.all_tasks()), time.monotonic()
        made.relay.lose(loss)
        times = await made.last(seconds)
        lost = made.relay.there.lost, made.relay.back.lost
        made.relay.lose(0)
        after = await made.last(CALM)
        assert (min(lost) > 0) == (loss > 0)
        assert len(times) >= share * seconds * RATE
        assert longest_gap([*times, *after], began, began + seconds + CALM) < gap
        while not after and time.monotonic() < began + seconds + WITHIN:
            after += await made.last(0.1)
        assert after, f"no picture within {WITHIN} s after the last loss"
        assert made.most_packets < MAX_WAITING_PACKETS / 4
        assert made.most_encoded < MAX_ENCODED
        assert made.most_decoded <= MAX_WAITING_PICTURES
        assert len(asyncio.all_tasks()) <= tasks


async def test_one_packet_that_never_comes_costs_little() -> None:
    async with call() as made:
        never: list[bytes] = []

        def refuses(data: bytes) -> bool:
            """One packet of the video; and what might be it once more: RTP of another stream, as
            retransmissions are (RFC 4588)."""
            is_rtp = 128 <= data[0] < 192 and not 192 <= data[1] < 224  # RFC 5761, RFC 7983
            if not is_rtp:
                return False
            stream = data[8:12]
            if not never:
                never.extend([stream, data[2:4]])
                return True
            return stream != never[0] or data[2:4] == never[1]

        began = time.monotonic()
        made.relay.refuses = refuses
        times = await made.last(3.0)
        assert made.skipped >= 1
        assert longest_gap(times, began, began + 3.0) < WITHIN
        assert times[-1] > began + 3.0 - 0.5
