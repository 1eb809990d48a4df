"""Encoded pictures and packets as aiortc hands them on, for tests of what is changed in it."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc.codecs import CODECS, depayload, get_encoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket


def codec(name: str) -> Any:
    return next(codec for codec in CODECS["video"] if codec.name == name)


def encoded(name: str, count: int, width: int = 64) -> list[JitterFrame]:
    """A keyframe and the pictures that build on it, as a receiver hands them to its decoder."""
    encoder = get_encoder(codec(name))
    frames = []
    for index in range(count):
        pixels = np.full((96, width), 40 + index, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.time_base = index * 3000, Fraction(1, 90_000)
        payloads, timestamp = encoder.encode(frame)
        data = b"".join(depayload(codec(name), payload) for payload in payloads)
        frames.append(JitterFrame(data, timestamp))
    return frames


def rtp(sequence: int, timestamp: int, marker: bool) -> RtpPacket:
    packet = RtpPacket(97, marker, sequence, timestamp)
    packet.payload = b"\x10\x00"
    packet._data = b"\x00"  # type: ignore[attr-defined]
    return packet
