"""What the file reader and the file writer have in common."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:  # PyAV's packets take no parameter when the program runs
    AudioPacket = av.Packet[av.AudioStream]
    VideoPacket = av.Packet[av.VideoStream]
else:
    AudioPacket = VideoPacket = av.Packet


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What holds for all pictures of a video.

    width, height: pixels as a person sees the picture, after any turning.
    time_base: unit of pts, in seconds.
    rate: pictures a second, on average; the true times are those of the pictures.
    sample_aspect_ratio: width of a pixel over its height; None when unknown, then square.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    sample_aspect_ratio: Fraction | None


def url(path: Path) -> str:
    """The path so that FFmpeg takes it for a file, whatever colons are in its name."""
    return f"file:{path}"


def reason(error: BaseException) -> str:
    """Why the system or FFmpeg failed, in a few words for a message."""
    match error:
        case FileNotFoundError():
            return "no such file or folder"
        case IsADirectoryError():
            return "it is a folder"
        case av.InvalidDataError():
            return "the data are damaged or of a kind that is not understood"
        case av.FFmpegError() | OSError() if error.strerror:
            text: str = error.strerror
            return text[0].lower() + text[1:]
    return str(error) or type(error).__name__
