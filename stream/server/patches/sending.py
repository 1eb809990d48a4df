"""aiortc 1.16 packs what a track has encoded itself, but keeps to itself what the track would have
to know: the negotiated codec, the receiver's requests for keyframes (PLI, FIR), its estimate of
the bitrate (REMB) and what it lost (RR). Its RTP timestamps have a random offset that only the last
packet tells.
"""

from typing import Any, Protocol

import av
from aiortc import RTCRtpSender
from aiortc.codecs import get_encoder
from aiortc.rtp import RtcpRrPacket, RtcpSrPacket


class Source(Protocol):
    """A track that returns av.Packet."""

    def negotiated(self, codec: str) -> None:
        """codec: "H264" or "VP8". Called once, before anything is asked of the track."""

    def want_keyframe(self) -> None: ...

    def report(self, bitrate: int) -> None:
        """bitrate: bits per second, as the receiver estimates its network."""

    def lost(self, share: float) -> None:
        """share: of the packets since the receiver's last report, 0 to 1."""


def feed(sender: RTCRtpSender, source: Source) -> None:
    """Make a sender of video tell its track what it learns. Call it before the answer is set."""
    patched: Any = sender
    original, original_handle = patched.send, patched._handle_rtcp_packet

    async def send(parameters: Any) -> None:
        codec = parameters.codecs[0]
        if patched._RTCRtpSender__encoder is None:
            source.negotiated(codec.name)
            patched._RTCRtpSender__encoder = Packer(codec, source)
        await original(parameters)

    async def handle_rtcp_packet(packet: Any) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == patched._ssrc:
                    source.lost(report.fraction_lost / 256)
        await original_handle(packet)

    patched.send = send
    patched._handle_rtcp_packet = handle_rtcp_packet
    patched._send_keyframe = source.want_keyframe


def last_timestamp(sender: RTCRtpSender) -> int:
    """RTP timestamp of the last packet that was sent."""
    timestamp: int = sender._RTCRtpSender__rtp_timestamp  # type: ignore[attr-defined]
    return timestamp


class Packer:
    """Stands in an aiortc sender where an encoder would."""

    def __init__(self, codec: Any, source: Source) -> None:
        self._encoder = get_encoder(codec)
        self._source = source

    def pack(self, packet: "av.Packet[Any]") -> tuple[list[bytes], int]:
        return self._encoder.pack(packet)

    @property
    def target_bitrate(self) -> int:
        """aiortc sets it and never reads it."""
        return 0

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._source.report(bitrate)
