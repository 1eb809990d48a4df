"""Real encoders and packets over a lossy network: pictures keep coming, and nothing grows.

aiortc's packets, its retransmissions (NACK) and our jitter buffer, encoder and aiortc's decoder;
only sockets and clocks are not real, so that every run is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import av
import pytest
from aiortc.codecs import CODECS, depayload, get_encoder
from aiortc.rtp import RtpPacket
from lossy_network import LossyNetwork
from moving_pictures import moving_picture

from stream.egress import encoder
from stream.egress.encoder import Encoder, Target
from stream.ingest.jitter_buffer import JitterBuffer, Packet
from stream.ingest.payload import begins_picture, is_keyframe
from stream.limits import MAX_WAITING_PACKETS
from stream.server.patches.retransmission import Nacks

RATE = 30
TICK = 1 / (4 * RATE)
HISTORY = 128
"""Packets that aiortc's sender can send again."""

WITHIN = 2.0
"""Seconds from a request for a keyframe to the next picture."""


@dataclass
class Call:
    """One sender, one receiver; nothing is random but the network."""

    codec: str
    there: LossyNetwork
    back: LossyNetwork
    lost_for_ever: frozenset[int] = frozenset()
    shown: list[tuple[float, int]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    requested: int = 0
    broken: int = 0
    most_waiting: int = 0
    buffer: JitterBuffer = field(default_factory=JitterBuffer)

    def run(self, seconds: float) -> None:
        described: Any = next(codec for codec in CODECS["video"] if codec.name == self.codec)
        made: Encoder = encoder.make(self.codec)
        packer = get_encoder(described)
        decoder = av.CodecContext.create("h264" if self.codec == "H264" else "libvpx", "r")
        history: dict[int, RtpPacket] = {}
        nacks, round_trip = Nacks(), self.there.delay + self.there.spread + self.back.delay
        sequence, wants_keyframe, keyframe_at = 60_000, False, -1.0
        for tick in range(int(seconds / TICK)):
            now = tick * TICK
            for _, message in self.back.arrived(now):
                if message == "pli":
                    wants_keyframe = True
                    continue
                for number in message:
                    again = history.get(number % HISTORY)
                    if again and again.sequence_number == number:
                        self._send(again, now)
            if tick % 4 == 0:
                index = tick // 4
                key = wants_keyframe and now - keyframe_at > 1
                target = Target(1_000_000, 2_000_000)
                encoded = made.encode(moving_picture(index), index * 3000, target, key)
                assert encoded is not None
                if encoded.keyframe:
                    keyframe_at, wants_keyframe = now, False
                packed: Any = av.Packet(encoded.data)
                packed.pts, packed.time_base = index * 3000, moving_picture(0).time_base
                payloads, timestamp = packer.pack(packed)
                for at, payload in enumerate(payloads):
                    packet = RtpPacket(97, at == len(payloads) - 1, sequence % 2**16, timestamp)
                    packet.payload = payload
                    history[sequence % 2**16 % HISTORY] = packet
                    self._send(packet, now)
                    sequence += 1
            for at, packet in self.there.arrived(now):
                nacks.came(packet.sequence_number, at, round_trip)
                self._ask(nacks.ask(at, round_trip), at)
                self._receive(packet, at, decoder, described)
            if (due := nacks.next) is not None and due <= now:
                self._ask(nacks.ask(now, round_trip), now)

    def _ask(self, missing: Sequence[int], now: float) -> None:
        if missing:
            self.requested += len(missing)
            self.back.send(missing, now)

    def _send(self, packet: RtpPacket, now: float) -> None:
        if packet.sequence_number not in self.lost_for_ever:
            self.there.send(packet, now)

    def _receive(self, packet: RtpPacket, now: float, decoder: Any, described: Any) -> None:
        data = depayload(described, packet.payload)
        begins = begins_picture(self.codec, packet.payload)
        keyframe = (begins or self.codec != "VP8") and is_keyframe(self.codec, data)
        pictures, wants_keyframe = self.buffer.add(
            Packet(
                packet.sequence_number,
                packet.timestamp,
                bool(packet.marker),
                data,
                begins,
                keyframe,
            ),
            now,
        )
        self.most_waiting = max(self.most_waiting, len(self.buffer))
        if wants_keyframe:
            self.asked.append(now)
            self.back.send("pli", now)
        for picture in pictures:
            try:
                frames = decoder.decode(av.Packet(picture.data))
            except av.FFmpegError:
                frames = []
            self.broken += len(frames) != 1
            self.shown.append((now, picture.timestamp // 3000))

    def recoveries(self, end: float) -> list[float]:
        """Seconds from each request for a keyframe until a picture was shown."""
        return [
            next((at for at, _ in self.shown if at >= asked), end + 10) - asked
            for asked in self.asked
            if asked < end - WITHIN
        ]


@pytest.mark.parametrize("codec", encoder.CODECS)
@pytest.mark.parametrize("spread", [0.0, 0.02])
@pytest.mark.parametrize(("loss", "share"), [(0.0, 1.0), (0.02, 0.95), (0.05, 0.9), (0.25, 0.5)])
def test_pictures_keep_coming(codec: str, loss: float, share: float, spread: float) -> None:
    seconds = 20.0
    call = Call(
        codec,
        LossyNetwork(1, loss, spread=spread),
        LossyNetwork(2, loss, spread=spread),
    )
    call.run(seconds)
    indices = [index for _, index in call.shown]
    assert indices == sorted(set(indices))
    assert call.broken == 0, "nothing reaches the decoder that it cannot decode"
    assert len(indices) >= share * (seconds - 0.2) * RATE
    assert max(call.recoveries(seconds), default=0) < WITHIN
    assert call.most_waiting < MAX_WAITING_PACKETS / 4
    if loss == 0:
        assert not call.asked
    if loss <= 0.05:
        assert call.requested <= (2 * loss + 0.03) * call.there.sent, "nothing is asked for twice"


@pytest.mark.parametrize("codec", encoder.CODECS)
def test_one_packet_that_never_comes_costs_little(codec: str) -> None:
    """Also at 65535, where sequence numbers begin again."""
    for number in (60_400, 65_535 - 5_000, 60_123):
        call = Call(codec, LossyNetwork(1), LossyNetwork(2), frozenset([number]))
        call.run(10.0)
        times = [at for at, _ in call.shown]
        gaps = [after - before for before, after in pairwise(times)]
        assert len(call.asked) >= 1
        # The deadline, the way there and back, and no more than a second between two keyframes.
        assert max(gaps) < 1.3
        assert call.shown[-1][1] >= 10 * RATE - 3
        assert call.broken == 0
