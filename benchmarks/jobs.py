"""How fast whole videos are worked on: seconds of 720p video a second, and where the time goes.

    python -m benchmarks.jobs --json [--quick] [--video FILE]

`x_realtime` is seconds of video done a second by one job, and by two at once together, each a
process as the server starts it, with the word person and the overlay. Such a process steps back for
others, so measure on a machine that is quiet. `share` is of one job's time, its start apart.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
from tqdm import tqdm

from benchmarks import machine
from benchmarks.stopwatch import Stopwatch
from stream.egress.file import VideoWriter
from stream.frames import Frame
from stream.ingest.file import VideoFile
from stream.jobs import process, runner
from stream.jobs.pace import Pace
from stream.jobs.probe import probe
from stream.jobs.request import parse
from stream.settings import JOB_NICE
from stream.track import catalog
from stream.track.tracker import Tracker

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"

SOURCE = DATA / "camera" / "pedestrians.mp4"

SIZE = (1280, 720)

REQUEST: dict[str, Any] = {"prompts": [{"text": "person"}], "exports": ["overlay"]}

STALL = 600.0


def clip(source: Path, target: Path, frames: int) -> Path:
    """The first pictures of a video at 720p, as H.264."""
    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=30, width=SIZE[0], height=SIZE[1])
        stream.pix_fmt = "yuv420p"
        for i, picture in enumerate(given.decode(video=0)):
            if i == frames:
                break
            scaled = picture.reformat(*SIZE, format="yuv420p")
            scaled.pts, scaled.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(scaled))
        container.mux(stream.encode(None))
    return target


async def x_realtime(video: Path, folder: Path, jobs: int) -> float:
    """Seconds of video a second, all jobs together, their start included."""
    found = probe(video)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for i in range(jobs):
            output = folder / f"{jobs}-{i}"
            output.mkdir()
            orders = {
                "input": str(video),
                "output": str(output),
                "request": REQUEST,
                "network": {},
                "duration": found["duration"],
                "niceness": JOB_NICE,
            }
            group.create_task(process.run("stream.jobs.runner", orders, STALL))
    return float(jobs * found["duration"] / (time.perf_counter() - began))


def share(video: Path, folder: Path) -> dict[str, float]:
    """Of one job's time: decode, track, compose and encode; they add up to 1."""
    watch = Stopwatch()
    tracker = Tracker(catalog.load("nano"))
    output = folder / "share"
    output.mkdir()

    iterate = VideoFile.__iter__

    def read(source: VideoFile) -> Iterator[Any]:
        items = iterate(source)
        while True:
            with watch.stage("decode"):
                item = next(items, None)
            if item is None:
                return
            yield item

    class Silent:
        pace = Pace()

        def say(self, **report: Any) -> None:
            pass

    with (
        mock.patch.object(VideoFile, "__iter__", read),
        watch.timed(Frame, "image", "track"),
        watch.timed(Tracker, "step", "track"),
        watch.timed(VideoWriter, "write", "encode"),
        watch.timed(VideoWriter, "finish", "encode"),
        VideoFile(video) as source,
        watch.stage("compose"),  # what is none of the others: masks made large, effects
    ):
        runner.run(source, output, parse(REQUEST), tracker, Silent())  # type: ignore[arg-type]
    total = sum(watch.times.values())
    return {stage: round(watch.times[stage] / total, 3) for stage in STAGES}


STAGES = ("decode", "track", "compose", "encode")


def measure(video: Path, frames: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = clip(video, folder / "clip.mp4", frames)
        steps = tqdm(total=3, file=sys.stderr, disable=None)
        rates = {}
        for jobs in (1, 2):
            rates[str(jobs)] = round(asyncio.run(x_realtime(short, folder, jobs)), 3)
            steps.update()
        shares = share(short, folder)
        steps.close()
    return {"x_realtime": rates, "share": shares, "frames": frames, "size": list(SIZE)}


def main() -> None:
    options = machine.parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--video", type=Path, default=SOURCE, help="what to take a part of")
    given = options.parse_args()
    results = measure(given.video, 60 if given.quick else 300)
    if given.json:
        machine.print_json(results)
    else:
        for name, value in results.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
