"""A sound stream on its way from one file into another."""

from collections.abc import Sequence
from typing import Protocol

import av

from stream import media
from stream.errors import MediaError
from stream.media import AudioPacket

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Samples a second that every AAC decoder plays."""

OPUS_RATE = 48000
"""Opus knows no other that matters (RFC 6716, section 2)."""

BIT_RATE = 160_000
"""Of sound that is coded anew: transparent for most stereo."""


class Sound(Protocol):
    def packets(self, packet: AudioPacket) -> Sequence[AudioPacket]:
        """What to write for a packet of the source."""

    def flush(self) -> Sequence[AudioPacket]:
        """What is left to write after the last one."""


class CopiedSound:
    """Packets go over as they are."""

    def __init__(self, container: "av.container.OutputContainer", source: av.AudioStream) -> None:
        self._stream = container.add_stream_from_template(source)
        _copy_language(source, self._stream)

    def packets(self, packet: AudioPacket) -> Sequence[AudioPacket]:
        packet.stream = self._stream
        return [packet]

    def flush(self) -> Sequence[AudioPacket]:
        return []


class CodedSound:
    """Sound is decoded and coded anew, in mono or stereo.

    codec: "aac" or "libopus". `packets` raises MediaError when the source's are damaged.
    """

    def __init__(
        self, container: "av.container.OutputContainer", source: av.AudioStream, codec: str
    ) -> None:
        self._source = source
        rate = source.rate if codec == "aac" and source.rate in AAC_RATES else OPUS_RATE
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono" if source.channels == 1 else "stereo"
        stream.bit_rate = BIT_RATE // 2 if source.channels == 1 else BIT_RATE
        self._stream = stream
        self._heard = False
        _copy_language(source, stream)

    def packets(self, packet: AudioPacket) -> Sequence[AudioPacket]:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if not self._heard:  # a recording may begin in the middle of something
                return []
            at = float((packet.pts or 0) * packet.time_base)
            raise MediaError(
                f"the sound at {at:.2f} s cannot be decoded: {media.reason(error)}"
            ) from error
        self._heard = self._heard or bool(frames)
        return self._encode(frames)

    def flush(self) -> Sequence[AudioPacket]:
        return [*self._encode(self._source.decode(None)), *self._stream.encode(None)]

    def _encode(self, frames: Sequence[av.AudioFrame]) -> list[AudioPacket]:
        return [packet for frame in frames for packet in self._stream.encode(frame)]


def _copy_language(source: av.AudioStream, target: av.AudioStream) -> None:
    if language := source.metadata.get("language"):
        target.metadata["language"] = language
