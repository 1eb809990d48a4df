"""Live sound beside live pictures in what FFmpeg muxes."""

from fractions import Fraction

import av
import numpy as np

from stream.egress.encoder import RATE
from stream.egress.sound import AAC_RATES, BIT_RATE, OPUS_RATE
from stream.egress.writer_messages import SoundFormat
from stream.media import AudioPacket

NO_INTERLEAVING = {"max_interleave_delta": "1"}
"""Microseconds by which a picture may be ahead of the sound: else FFmpeg keeps pictures back, up to
ten seconds of them, until there is sound to go between. As it is, one waits for the next of
either."""

SLACK = RATE // 100
"""By which sound may begin before the end of what was written. A clock that follows another moves
by far less at once; more would be heard twice."""


LEAD = 1024
"""Samples by which the encoder begins before the first one it is given, so as to have it whole."""


class SoundTrack:
    """AAC beside the pictures of one connection or file: RTMP knows hardly another, RTSP's servers
    all pass it on, and every player knows it."""

    def __init__(self, container: "av.container.OutputContainer", format: SoundFormat) -> None:
        self.format = format
        self._layout = "mono" if format.channels == 1 else "stereo"
        rate = format.rate if format.rate in AAC_RATES else OPUS_RATE
        stream = container.add_stream("aac", rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = self._layout
        stream.bit_rate = BIT_RATE // 2 if format.channels == 1 else BIT_RATE
        self._stream = stream
        self._end = 0

    @property
    def lead(self) -> int:
        """How much later than 0 the sound must begin for none of it to be lost, in units of 1/90000
        s."""
        return -(-LEAD * RATE // self._stream.rate)

    def packets(self, pts: int, data: bytes) -> list[AudioPacket]:
        """What to write for samples that begin at `pts`, counted from the first picture. What
        would sound earlier than what was written is left out."""
        if pts < self._end - SLACK:
            return []
        samples = np.frombuffer(data, np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", self._layout)
        frame.sample_rate = self.format.rate
        frame.pts, frame.time_base = pts, Fraction(1, RATE)
        self._end = pts + frame.samples * RATE // frame.sample_rate
        # The encoder begins before the first sample, which a network's muxers cannot say.
        return [packet for packet in self._stream.encode(frame) if (packet.pts or 0) >= 0]

    def flush(self) -> list[AudioPacket]:
        """What is left to write after the last samples."""
        return self._stream.encode(None)
