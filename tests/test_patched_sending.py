"""What a sender tells and is told, which is changed in aiortc, and that it is still needed."""

import asyncio
import struct
from fractions import Fraction
from typing import Any

import av
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    HeaderExtensions,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    is_rtcp,
    pack_remb_fci,
    unpack_header_extensions,
)
from rtc_client import Scene, eventually

from stream.server.answer import START_KBPS, with_start_bitrate
from stream.server.patches import playout, sending

pytestmark = pytest.mark.usefixtures("patched")


def test_start_bitrate_is_told_for_every_video_codec() -> None:
    sdp = (
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97 98 99\r\na=rtpmap:97 VP8/90000\r\n"
        "a=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\na=rtpmap:99 H264/90000\r\n"
        "a=fmtp:99 packetization-mode=1\r\n"
    )
    lines = with_start_bitrate(sdp).split("\r\n")
    assert f"a=fmtp:97 x-google-start-bitrate={START_KBPS}" in lines
    assert f"a=fmtp:99 packetization-mode=1;x-google-start-bitrate={START_KBPS}" in lines
    assert "a=fmtp:98 apt=97" in lines
    assert len(lines) == len(sdp.split("\r\n")) + 1


async def test_a_sender_tells_its_track_what_it_learns() -> None:
    told: list[object] = []

    class Track(MediaStreamTrack):
        kind = "video"

        def negotiated(self, codec: str) -> None:
            told.append(codec)

        def want_keyframe(self) -> None:
            told.append("keyframe")

        def report(self, bitrate: int) -> None:
            told.append(bitrate)

        def lost(self, share: float) -> None:
            told.append(share)

        async def recv(self) -> Any:
            await asyncio.sleep(0.01)
            packet: Any = av.Packet(b"\x00\x00\x00\x01\x65\x88")
            packet.pts, packet.time_base = 3000 * len(told), Fraction(1, 90_000)
            return packet

    for feeds in (True, False):
        told.clear()
        sending_peer, receiving_peer = RTCPeerConnection(), RTCPeerConnection()
        track = Track()
        sender: Any = sending_peer.addTransceiver(track, "sendonly").sender
        if feeds:
            sending.feed(sender, track)
        await sending_peer.setLocalDescription(await sending_peer.createOffer())
        await receiving_peer.setRemoteDescription(sending_peer.localDescription)
        await receiving_peer.setLocalDescription(await receiving_peer.createAnswer())
        await sending_peer.setRemoteDescription(receiving_peer.localDescription)
        await eventually(lambda sender=sender: sending.last_timestamp(sender))
        pli = RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=sender._ssrc)
        remb = RtcpPsfbPacket(
            fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(4_000_000, [sender._ssrc])
        )
        reports = [
            RtcpReceiverInfo(ssrc, lost, 0, 0, 0, 0, 0)
            for ssrc, lost in ((sender._ssrc, 64), (sender._ssrc ^ 1, 128))
        ]
        for packet in (pli, remb, RtcpRrPacket(ssrc=1, reports=reports)):
            await sender._handle_rtcp_packet(packet)
        await sending_peer.close()
        await receiving_peer.close()
        # The patch can go when a track is told without it.
        assert [each for each in told if each != "keyframe"] == (
            ["VP8", pytest.approx(4_000_000, rel=0.01), 0.25] if feeds else []
        )
        assert ("keyframe" in told) == feeds


@pytest.mark.parametrize("knows", [True, False])
async def test_every_packet_says_that_its_picture_is_to_be_shown_at_once(knows: bool) -> None:
    """To a receiver that offers to heed it, as Chromium does."""
    assert not hasattr(HeaderExtensions(), "playout_delay"), "the patch can go when aiortc has it"
    viewer, server = RTCPeerConnection(), RTCPeerConnection()
    viewer.addTransceiver("video", "recvonly")
    await viewer.setLocalDescription(await viewer.createOffer())
    offer = viewer.localDescription
    [line] = [line for line in offer.sdp.splitlines(keepends=True) if playout.URI in line]
    if not knows:
        offer.sdp = offer.sdp.replace(line, "")
    await server.setRemoteDescription(offer)
    sender = server.addTrack(Scene())
    playout.show_at_once(sender)
    packets: list[bytes] = []
    send = sender.transport._send_rtp

    async def record(packet: bytes) -> None:
        if not is_rtcp(packet):
            packets.append(packet)
        await send(packet)

    sender.transport._send_rtp = record  # type: ignore[method-assign]
    await server.setLocalDescription(await server.createAnswer())
    assert (playout.URI in server.localDescription.sdp) == knows
    await viewer.setRemoteDescription(server.localDescription)
    await eventually(lambda: len(packets) > 3)
    await server.close()
    await viewer.close()
    for packet in packets:
        profile, words = struct.unpack_from("!HH", packet, 12)
        extensions = unpack_header_extensions(profile, packet[16 : 16 + 4 * words])
        assert (playout.AT_ONCE in [value for _, value in extensions]) == knows
