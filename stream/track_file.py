"""One video file from ingest to egress, every picture with its own mask.

Everything happens in one thread. Decoding ahead and encoding behind in threads of their own was
tried and not kept: on 2 cores a 720p clip took no less time, since the network and x264 use both.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from stream.compose.compositor import Compositor
from stream.cues import Schedule
from stream.egress.file import VideoWriter
from stream.frames import Frame, Masks
from stream.ingest.file import VideoFile
from stream.media import AudioPacket
from stream.track.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done. duration: of the pictures written, in seconds; elapsed: seconds it took."""

    frames: int
    duration: float
    elapsed: float

    @property
    def frames_per_second(self) -> float:
        """Pictures processed a second."""
        return self.frames / self.elapsed if self.elapsed else 0.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """A picture and its masks, None before the first prompt. time: seconds after the first."""

    frame: Frame
    time: Fraction
    masks: Masks | None


def track_file(
    source: VideoFile,
    writer: VideoWriter,
    tracker: Tracker,
    compositor: Compositor,
    schedule: Schedule,
    on_frame: Callable[[], None] = lambda: None,
) -> Summary:
    """Read `source` to its end, and write every picture composited with its own masks.

    on_frame: called after each picture. The writer is left for the caller to finish or abort.
    Raises PromptError when a prompt comes after the last picture, and what the parts raise.
    """
    began = time.monotonic()
    frames, end = 0, Fraction(0)
    for item in tracked(source, tracker, schedule):
        if not isinstance(item, Tracked):
            writer.write_audio(item)
            continue
        writer.write(compositor.compose(item.frame.picture, item.masks))
        frames += 1
        end = item.time + item.frame.picture.duration * item.frame.time_base
        on_frame()
    return Summary(frames, float(end), time.monotonic() - began)


def tracked(
    source: VideoFile, tracker: Tracker, schedule: Schedule
) -> Iterator[Tracked | AudioPacket]:
    """Every picture of `source` with its own masks, and its sound, in the file's order.

    Raises PromptError when a prompt comes after the last picture, and what the parts raise.
    """
    if source.duration is not None:
        schedule.check_over(source.duration)  # sooner than after all the work
    now = Fraction(0)
    for item in source:
        if not isinstance(item, Frame):
            yield item
            continue
        now = item.pts * item.time_base - source.start
        prompts = schedule.due(now)
        masks = None
        if prompts or tracker.object_ids:
            masks = tracker.step(item.image(tracker.image_size), prompts)
        yield Tracked(item, now, masks)
    schedule.check_over(now)
