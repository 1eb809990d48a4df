"""One job from its video to its exports, in a process of its own: `python -m` this.

Orders: {"input", "output", "request", "network", "duration", "niceness"}: paths of the video and
of an empty folder, what to do (stream.jobs.request), the settings of the network, seconds of video,
and how far to step back for others.
Reports {"frames"} as it goes, at last {"seconds", "frames"}: of video done.
"""

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from stream.compose import backgrounds
from stream.errors import LimitError, MediaError
from stream.ingest.file import VideoFile
from stream.jobs import exports, talk
from stream.jobs.confine import confine
from stream.jobs.exports.shown import Shown
from stream.jobs.request import Request, parse
from stream.limits import BIG_JOB_MEMORY, JOB_MEMORY, JOB_TIME, SLOW_JOB_TIME
from stream.loading import load_network, new_tracker, of_json
from stream.niceness import step_back
from stream.settings import Settings
from stream.track import catalog, finder
from stream.track.tracker import Tracker
from stream.track_file import Tracked, tracked

REPORT_INTERVAL = 0.25
"""Seconds between two reports of progress: often enough for a bar that moves."""

LONGER = Fraction(1)
"""Seconds that pictures may go on after the packets' own times said they end."""


def run(
    source: VideoFile, output: Path, request: Request, tracker: Tracker, reports: talk.Reports
) -> tuple[int, Fraction]:
    """Write all exports; returns pictures done and their seconds. Raises what the parts raise."""
    schedule = request.schedule()
    schedule.check(source.format.width, source.format.height)
    names = {effect.background for effect in request.effects if effect.background}
    made = exports.create(
        request.exports,
        output,
        source.format,
        source.audio,
        request.names,
        request.effects,
        {name: backgrounds.load(name) for name in names},
    )
    frames, end, said = 0, Fraction(0), 0.0
    reports.pace.wait()
    try:
        for item in tracked(source, tracker, schedule):
            if not isinstance(item, Tracked):
                for export, has_sound in made:
                    if has_sound:
                        export.write_audio(item)
                continue
            shown = Shown(item.frame.picture, frames, item.time, item.masks)
            for export, _ in made:
                export.write(shown)
            frames += 1
            end = item.time + item.frame.picture.duration * item.frame.time_base
            if time.monotonic() - said >= REPORT_INTERVAL:
                said = time.monotonic()
                reports.say(frames=frames)
            reports.pace.wait()
        for export, _ in made:
            export.finish()
    except BaseException:
        for export, _ in made:
            export.abort()
        raise
    return frames, end


class _Bounded(VideoFile):
    """Gives up on pictures long after the end that its packets promised."""

    def __init__(self, path: Path, duration: float) -> None:
        self._end = Fraction(duration) + LONGER
        super().__init__(path)

    def __iter__(self) -> Any:
        for item in super().__iter__():
            if (item.pts or 0) * (item.time_base or 0) - self.start > self._end:
                raise LimitError("the video goes on after the end that its packets promise")
            yield item


def _tracker(settings: Settings, request: Request) -> tuple[Tracker, bool]:
    """The tracker, and whether it runs without PyTorch, which full models and detectors need: they
    are slow on a CPU, and reserve far more memory than they use."""
    network = load_network(settings)
    known = network.spec.words
    request.check_words(known, phrases=settings.text_model is not None)
    is_embedded = settings.model.partition("@")[0] == catalog.EMBEDDED
    is_small = is_embedded and not finder.is_wanted(request.texts, known)
    return new_tracker(settings, network, request.texts), is_small


def _has_cuda() -> bool:
    """Of whatever needs PyTorch; waits while another thread is importing it."""
    import torch

    return torch.cuda.is_available()


def _work(orders: dict[str, Any], reports: talk.Reports) -> None:
    # Live sessions come first. SCHED_IDLE was tried and not kept: it starves a job on any machine
    # that does something else, and what starves while it holds a lock holds up who waits for it.
    step_back(orders["niceness"])
    settings, duration = of_json(orders["network"]), orders["duration"]
    request, path = parse(orders["request"]), Path(orders["input"])
    tracker, is_small = _tracker(settings, request)
    if is_small:
        confine(JOB_MEMORY, JOB_TIME * (1 + duration))
    else:
        memory = None if _has_cuda() else BIG_JOB_MEMORY
        confine(memory, SLOW_JOB_TIME * (1 + duration), reserves=True)
    try:
        with _Bounded(path, duration) as source:
            frames, end = run(source, Path(orders["output"]), request, tracker, reports)
    except (MediaError, LimitError) as error:
        raise type(error)(str(error).replace(str(path), "the video")) from error
    reports.say(seconds=float(end), frames=frames)


if __name__ == "__main__":
    talk.main(_work)
