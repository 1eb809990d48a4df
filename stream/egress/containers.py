"""The kinds of video file that can be written."""

from dataclasses import dataclass
from pathlib import Path

from stream.errors import MediaError


@dataclass(frozen=True, slots=True)
class Container:
    """What goes into files of one kind.

    muxer, video, audio: FFmpeg's names of the muxer and of the encoders.
    copied_audio: codecs of sound that its players understand; others are coded anew.
    negative_times: it can say that coded sound starts before the first sample to be heard.
    """

    muxer: str
    video: str
    audio: str
    copied_audio: frozenset[str]
    negative_times: bool


_PLAYED_BY_MOST = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_PLAIN = frozenset({"pcm_s16le", "pcm_s24le"})

CONTAINERS = {
    ".mp4": Container("mp4", "libx264", "aac", _PLAYED_BY_MOST | {"opus", "flac"}, True),
    ".m4v": Container("mp4", "libx264", "aac", _PLAYED_BY_MOST, True),
    ".mov": Container("mov", "libx264", "aac", _PLAYED_BY_MOST | _PLAIN, True),
    ".mkv": Container(
        "matroska",
        "libx264",
        "aac",
        _PLAYED_BY_MOST | _PLAIN | {"opus", "vorbis", "flac", "dts"},
        False,
    ),
    ".webm": Container("webm", "libvpx-vp9", "libopus", frozenset({"opus", "vorbis"}), False),
}


def container_of(path: Path) -> Container:
    """By the name's ending. Raises MediaError when it is none of CONTAINERS."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        kinds = ", ".join(CONTAINERS)
        raise MediaError(
            f"cannot write {path}: its name must end in one of {kinds}, to say what to write"
        ) from None
