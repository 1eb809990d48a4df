"""Looking at a video before it becomes a job, in a process of its own: `python -m` this.

Orders: {"path"}. Reports {"width", "height", "duration", "frames", "sound"}; duration in seconds.
"""

from pathlib import Path
from typing import Any

from stream.errors import LimitError, MediaError
from stream.ingest.file import VideoFile, length
from stream.jobs import talk
from stream.jobs.confine import confine
from stream.limits import MAX_DURATION, MAX_FRAME_RATE, MAX_PIXELS, PROBE_MEMORY, PROBE_TIMEOUT


def probe(path: Path) -> dict[str, Any]:
    """Raises MediaError, LimitError."""
    try:
        with VideoFile(path) as video:
            width, height = video.format.width, video.format.height
            sound = bool(video.audio)
        duration, frames = length(path)
    except (MediaError, LimitError) as error:
        raise type(error)(str(error).replace(str(path), "the video")) from error
    if width * height > MAX_PIXELS:
        raise LimitError(
            f"the video is {width}x{height}; at most {MAX_PIXELS} pixels a picture are taken"
        )
    if duration > MAX_DURATION:
        raise LimitError(
            f"the video is {float(duration):.0f} s long; at most {MAX_DURATION:.0f} are taken"
        )
    if frames > MAX_FRAME_RATE * (duration + 1):
        raise LimitError(
            f"the video has {frames} pictures in {float(duration):.1f} s; at most {MAX_FRAME_RATE} "
            "a second are taken"
        )
    return {
        "width": width,
        "height": height,
        "duration": float(duration),
        "frames": frames,
        "sound": sound,
    }


def _work(orders: dict[str, Any], reports: talk.Reports) -> None:
    confine(PROBE_MEMORY, PROBE_TIMEOUT)
    reports.say(**probe(Path(orders["path"])))


if __name__ == "__main__":
    talk.main(_work)
