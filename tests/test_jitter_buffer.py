"""Packets in, pictures out: in order, at once, and never for long without."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.ingest.jitter_buffer import (
    ASK_AGAIN,
    DEADLINE,
    MAX_AHEAD,
    MAX_LATE,
    JitterBuffer,
    Packet,
    Picture,
)
from stream.limits import MAX_WAITING_PACKETS


def picture(
    index: int, first: int, count: int = 3, key: bool = False, begins: bool = True
) -> list[Packet]:
    """The packets of picture `index`; its data tell which it is."""
    return [
        Packet(
            (first + at) % 2**16,
            index * 3000 % 2**32,
            marker=at == count - 1,
            data=bytes([index % 256, at]),
            begins=(begins or index == 0) and at == 0,
            keyframe=key and at == 0,
        )
        for at in range(count)
    ]


def indices(pictures: object) -> list[int]:
    return [each.data[0] for each in pictures]  # type: ignore[attr-defined]


def test_a_picture_leaves_with_its_last_packet() -> None:
    buffer = JitterBuffer()
    one, two, three = picture(0, 65534, key=True)
    assert not buffer.add(one, 0.0)[0]
    assert not buffer.add(two, 0.0)[0]
    assert buffer.add(three, 0.0) == ([Picture(0, b"\0\0\0\1\0\2")], False)
    assert len(buffer) == 0


def test_without_marker_it_leaves_when_the_next_begins() -> None:
    buffer = JitterBuffer()
    for index in range(4):
        packet = Packet(index, index * 3000, False, bytes([index]), True, index == 0)
        assert indices(buffer.add(packet, 0.0)[0]) == ([index - 1] if index else [])


def test_padding_neither_delays_nor_reaches_the_decoder() -> None:
    buffer = JitterBuffer()
    for packet in picture(0, 0, key=True):
        done, _ = buffer.add(packet, 0.0)
    assert indices(done) == [0]
    for at in (3, 4):
        assert buffer.add(Packet(at, 0, False, b""), 0.0) == ([], False)
    for packet in picture(1, 5):
        done, _ = buffer.add(packet, 0.0)
    assert indices(done) == [1]


def test_what_a_late_packet_completes_comes_at_once_and_in_order() -> None:
    buffer = JitterBuffer()
    packets = [p for index in range(4) for p in picture(index, 3 * index, key=index == 0)]
    lost = packets.pop(4)
    shown = [index for packet in packets for index in indices(buffer.add(packet, 0.0)[0])]
    assert shown == [0]
    assert indices(buffer.add(lost, DEADLINE)[0]) == [1, 2, 3]
    assert buffer.counters.skipped == 0


@pytest.mark.parametrize("begins", [True, False])
def test_after_the_deadline_it_goes_on_with_the_next_keyframe(begins: bool) -> None:
    buffer = JitterBuffer()
    shown, asked = [], []
    for index in range(40):
        now = index / 30
        packets = picture(index, 3 * index, key=index in (0, 20), begins=begins)
        if index == 5:
            packets.pop(1)
        for packet in packets:
            pictures, wants = buffer.add(packet, now)
            shown += indices(pictures)
            asked += [index] * wants
    assert shown == [0, 1, 2, 3, 4, *range(20, 40)]
    # Asked as soon as the deadline is over, and again, as nothing came.
    assert asked[0] == 5 + int(DEADLINE * 30) + 1
    assert len(asked) == buffer.counters.asked == 2
    assert buffer.counters.skipped == 1
    assert len(buffer) == 0


def test_a_keyframe_behind_a_gap_is_not_kept_waiting() -> None:
    buffer = JitterBuffer()
    for packet in picture(0, 0, key=True):
        buffer.add(packet, 0.0)
    buffer.add(picture(1, 3)[0], 0.0)
    buffer.add(picture(2, 6)[0], 0.01)
    late = DEADLINE + 0.02
    assert buffer.add(picture(2, 6)[1], late)[1]
    for packet in picture(4, 20, key=True):  # with 9 to 19 lost
        pictures, _ = buffer.add(packet, late)
    assert indices(pictures) == [4]


def test_a_stream_that_is_joined_late_begins_at_a_keyframe() -> None:
    buffer = JitterBuffer()
    asked = 0
    for index in range(20):
        for packet in picture(index, 100 + 3 * index)[index == 0 :]:
            pictures, wants = buffer.add(packet, index / 30)
            asked += wants
            assert not pictures
    assert asked == int(19 / 30 / ASK_AGAIN)
    for packet in picture(20, 160, key=True, begins=False):
        pictures, _ = buffer.add(packet, 1.0)
    assert indices(pictures) == [20]


def test_a_sender_that_begins_afresh_is_followed() -> None:
    for jump in (-MAX_LATE - 100, MAX_AHEAD + 100):
        buffer = JitterBuffer()
        for index in range(400):
            for packet in picture(index, 30_000 + 3 * index, key=index == 0):
                buffer.add(packet, index / 30)
        first = 30_000 + 1200 + jump
        for packet in picture(7, first, key=True):
            pictures, _ = buffer.add(packet, 14.0)
        assert indices(pictures) == [7]
        assert buffer.counters.restarts == 1


def test_what_waits_is_bounded() -> None:
    buffer = JitterBuffer()
    for number in range(3 * MAX_WAITING_PACKETS):
        buffer.add(Packet(number, 0, False, b"x"), 0.0)
        assert len(buffer) <= MAX_WAITING_PACKETS


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.02, 0.05, 0.25]),
    spread=st.floats(0, 0.1),
    first=st.integers(0, 2**16 - 1),
    begins=st.booleans(),
)
def test_every_network(seed: int, loss: float, spread: float, first: int, begins: bool) -> None:
    """Whatever is lost, comes late or twice: pictures come in order, none that builds on a lost
    one, nothing grows, and a keyframe that arrives whole is shown."""
    chance = random.Random(seed)
    buffer = JitterBuffer()
    sent: list[tuple[float, Packet]] = []
    keys, number, wanted_at = {0}, first, None
    shown: list[int] = []
    arrivals: list[tuple[float, int, Packet]] = []
    for index in range(250):
        now = index / 30
        if wanted_at is not None and now > wanted_at + 0.05:
            keys.add(index)
            wanted_at = None
        packets = picture(index, number, chance.randint(1, 5), index in keys, begins)
        number += len(packets)
        for packet in packets:
            sent.append((now, packet))
            for again in (0.0, 0.08):  # the packet, and its retransmission if that was lost
                if chance.random() >= loss:
                    at = now + again + chance.random() * spread
                    arrivals.append((at, len(arrivals), packet))
                    if chance.random() > 0.02:
                        break
        arrivals.sort()
        while arrivals and arrivals[0][0] <= now + 1 / 30:
            at, _, packet = arrivals.pop(0)
            pictures, wants = buffer.add(packet, at)
            shown += [each.timestamp // 3000 for each in pictures]
            if wants and wanted_at is None:
                wanted_at = at
            assert len(buffer) <= MAX_WAITING_PACKETS
    assert shown == sorted(set(shown))
    for before, after in pairwise(shown):
        assert after == before + 1 or after in keys
    assert shown[0] in keys
    assert len(buffer) < 250
    if loss == 0:
        assert shown[-1] >= 240
        assert buffer.counters.skipped == 0 or spread > 0
    if loss <= 0.05:
        assert len(shown) > 100
