"""How packets become pictures and sound, and lost ones are asked for: it is changed in aiortc, and
still has to be."""

import asyncio
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import RTP_HISTORY_SIZE
from aiortc_media import codec, rtp
from rtc_client import eventually

from stream.ingest.payload import begins_picture
from stream.server.patches import jitter
from stream.server.patches.retransmission import (
    MOST_REQUESTS,
    REMEMBERED,
    SHORTEST,
    Nacks,
    Requests,
)

pytestmark = pytest.mark.usefixtures("patched")


@pytest.mark.parametrize("name", ["VP8", "H264"])
def test_the_beginning_of_a_keyframe_is_told_from_its_first_packet(name: str) -> None:
    encoder = get_encoder(codec(name))
    pixels = np.random.default_rng(0).integers(0, 255, (240 * 3 // 2, 320), np.uint8)
    for index in range(2):
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.time_base = index * 3000, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame)
        assert index or len(payloads) > 3
        begins = [begins_picture(name, payload) for payload in payloads]
        # Only an H264 keyframe tells where it begins, by its parameter sets.
        assert begins == [name == "VP8" or not index] + [False] * (len(payloads) - 1)
    assert not begins_picture(name, b"")


def test_aiortc_holds_a_complete_picture_back() -> None:
    theirs = JitterBuffer(capacity=512, is_video=True)
    ours = jitter.VideoJitterBuffer({97: codec("VP8")})
    packet = rtp(0, 3000, marker=True)
    assert ours.add(packet)[1] is not None
    assert theirs.add(packet)[1] is None, "the patch can go as far as the marker is concerned"


def test_aiortc_waits_for_a_lost_packet_for_seconds() -> None:
    theirs = JitterBuffer(capacity=512, is_video=True)
    shown = [theirs.add(rtp(number, number * 3000, True))[1] for number in range(120) if number]
    assert any(shown)
    shown = [theirs.add(rtp(number, number * 3000, True))[1] for number in range(122, 240)]
    assert not any(shown), "the patch can go as far as the deadline is concerned"


def test_aiortc_holds_sound_back_and_more_after_a_loss() -> None:
    theirs, ours = JitterBuffer(capacity=16, prefetch=4), jitter.AudioJitterBuffer()
    numbers = [number for number in range(65_500, 65_700) if number != 65_600]  # they wrap
    behind: dict[str, list[int]] = {"theirs": [], "ours": []}
    for number in numbers:
        packet = rtp(number % 2**16, number * 960, marker=False)
        for name, buffer in (("theirs", theirs), ("ours", ours)):
            _, frame = buffer.add(packet)  # type: ignore[attr-defined]
            if frame is not None:
                behind[name].append(number - frame.timestamp // 960)
    assert behind["ours"] == [0] * len(numbers)
    assert behind["theirs"][0] == 4, "the patch can go as far as the delay is concerned"
    assert behind["theirs"][-1] > 10, "the patch can go as far as losses are concerned"


def test_sound_that_comes_twice_or_too_late_is_left_out() -> None:
    buffer = jitter.AudioJitterBuffer()
    numbers = (1, 3, 2, 3, 4, 40_000, 39_999, 40_001)
    taken = [n for n in numbers if buffer.add(rtp(n, n * 960, marker=False))[1] is not None]
    assert taken == [1, 3, 4, 40_000, 40_001], "a sender that begins anew is heard again"


def test_aiortc_asks_once_for_a_missing_packet() -> None:
    now = 0.0
    ours, theirs = Nacks(), NackGenerator()
    asked = []
    for number in (0, 2, 3, 4, 5, 6, 1, 7):
        now += 0.02
        ours.came(number, now, round_trip=0.03)
        asked.append(list(ours.ask(now, round_trip=0.03)))
        theirs_asks = theirs.add(rtp(number, 3000, False))
        assert theirs_asks == (number == 2), "the patch can go when it asks again"
    assert asked == [[], [1], [], [1], [1], [1], [], []]


def feed(
    nacks: Nacks, numbers: Iterable[int], begin: float, apart: float, away: float
) -> list[int]:
    """Packets that come `apart` seconds from each other; what is asked for."""
    asked: list[int] = []
    for at, number in enumerate(numbers):
        nacks.came(number % 2**16, begin + at * apart, away)
        asked += nacks.ask(begin + at * apart, away)
    return asked


@pytest.mark.parametrize("away", [0.002, 0.02, 0.1])
def test_a_packet_is_asked_for_again_after_a_round_trip(away: float) -> None:
    nacks = Nacks()
    assert feed(nacks, [65_534, 1], 0.0, 0.001, away) == [65_535, 0]
    assert nacks.next == pytest.approx(0.001 + max(away, SHORTEST))
    assert not nacks.ask(0.001 + max(away, SHORTEST) * 0.99, away)
    assert nacks.ask(0.0011 + max(away, SHORTEST), away) == [65_535, 0]
    times = sum(bool(nacks.ask(0.1 + at / 1000, away)) for at in range(1000))
    assert 1 <= times <= MOST_REQUESTS - 2
    assert nacks.next is None, "nothing waits for it any more"


def test_what_is_only_out_of_order_is_asked_for_once_and_then_no_more() -> None:
    nacks = Nacks()
    swapped = [number ^ 1 for number in range(400)]  # 1, 0, 3, 2, …
    assert feed(nacks, swapped[:2], 0.0, 0.004, 0.04) == []
    assert feed(nacks, swapped[2:4], 0.1, 0.004, 0.04) == [2], "nobody could know"
    assert feed(nacks, swapped[4:], 0.2, 0.004, 0.04) == []
    later = 0.2 + 400 * 0.004
    # A packet that is really lost is asked for a moment later, and at once when all is in order.
    assert feed(nacks, range(401, 410), later, 0.001, 0.04) == [400]
    nacks.came(400, later + 0.06, 0.04)
    assert feed(nacks, [411], later + REMEMBERED + 1, 0.001, 0.04) == [410]


def test_no_more_is_asked_for_than_the_sender_remembers() -> None:
    nacks = Nacks()
    assert len(feed(nacks, [0, 5000], 0.0, 0.01, 0.04)) == RTP_HISTORY_SIZE
    assert len(feed(nacks, [5000 + RTP_HISTORY_SIZE], 1.0, 0.01, 0.04)) == RTP_HISTORY_SIZE - 1


async def test_packets_are_asked_for_again_while_none_come() -> None:
    sent: list[list[int]] = []

    class Receiver:
        async def _send_rtcp_nack(self, stream: int, lost: list[int]) -> None:
            assert stream == 0
            sent.append(lost)

    requests = Requests(Receiver(), lambda: 0.01)
    assert not requests.add(rtp(0, 3000, False))
    assert requests.add(rtp(2, 3000, False))
    assert requests.missing == [1], "which aiortc asks for itself"
    await eventually(lambda: sent[:2] == [[1], [1]])
    assert not requests.add(rtp(1, 3000, False))
    await asyncio.sleep(0.05)
    count = len(sent)
    await asyncio.sleep(0.05)
    assert len(sent) == count
