"""What a job costs the live session beside it, and what it gets itself, by its pace.

    python -m benchmarks.beside --json [--quick] [--video FILE]

A session is sent 720p at 30 pictures a second, follows a person and blurs the background; then a
job works on the same video beside it: with the pace that the server tells it (`job_rate`), with
another, and with none, which leaves it to niceness. `quiet` is on a machine that does nothing else,
`busy` with a process at niceness 0 that computes on every core.

masks: new ones a second of the live session. age_ms: of its masks, mean. latency_ms: of its
pictures, until they are composited, mean. job: pictures a second that the job has done; null: none.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks import machine
from benchmarks.jobs import REQUEST, SOURCE, STALL, clip
from stream.compose.effects import Effect
from stream.jobs import pace, process
from stream.jobs.probe import probe
from stream.messages import Event, Stats
from stream.session import Session
from stream.settings import JOB_NICE, JOB_RATE, Settings
from stream.worker.launch import engine
from stream.worker.supervisor import Supervisor

RATE = 30
CASES: dict[str, tuple[float | None] | None] = {
    "alone": None,
    "1 a second": (JOB_RATE,),
    "3 a second": (3.0,),
    "no pace": (None,),
}
"""What is shown -> the job's pace; None: without a job."""

WARM, MEASURED, QUICK = 4.0, 20.0, 8.0
"""Seconds before and while it is measured."""

LONGEST_START = 120.0
"""Of a job that gets little."""


class Live:
    """A session that pictures come to for as long as it is open. stats: one for each second."""

    def __init__(self, session: Session, pictures: list[av.VideoFrame]) -> None:
        self.stats: list[Stats] = []
        self._session = session
        self._pictures = pictures

    def hear(self, event: Event) -> None:
        if isinstance(event, Stats):
            self.stats.append(event)

    async def send(self) -> None:
        began, there_and_back = time.monotonic(), self._pictures + self._pictures[-2:0:-1]
        for index in range(1_000_000):
            await asyncio.sleep(max(began + index / RATE - time.monotonic(), 0))
            picture = there_and_back[index % len(there_and_back)].reformat()
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            self._session.receive(picture)

    async def count(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._session.tell_stats()

    async def watch(self) -> None:
        frames = self._session.watch()
        while True:
            await frames.get()


@asynccontextmanager
async def live(video: Path) -> AsyncIterator[Live]:
    with av.open(str(video)) as container:
        pictures = [
            picture for _, picture in zip(range(60), container.decode(video=0), strict=False)
        ]
    supervisor, pool = Supervisor(engine(Settings())), ThreadPoolExecutor(2)
    await asyncio.to_thread(supervisor.start)
    session = Session("live", supervisor, pool)
    made = Live(session, pictures)
    session.follow(made.hear)
    session.start()
    await session.begin_with((Effect("blur"),), ["person"])
    tasks = [asyncio.create_task(work) for work in (made.send(), made.count(), made.watch())]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.close()
        await asyncio.to_thread(supervisor.stop)
        pool.shutdown()


@asynccontextmanager
async def job(video: Path, folder: Path, rate: float | None) -> AsyncIterator[list[int]]:
    """Begun and at its pictures; what it yields grows by the number done at each report."""
    done: list[int] = []
    output = Path(tempfile.mkdtemp(dir=folder))
    orders = {
        "input": str(video),
        "output": str(output),
        "request": REQUEST,
        "network": {},
        "duration": probe(video)["duration"],
        "niceness": JOB_NICE,
    }

    def heard(said: dict[str, Any]) -> None:
        done.append(said["frames"])

    told = pace.told(lambda: rate)
    task = asyncio.create_task(process.run("stream.jobs.runner", orders, STALL, heard, told))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_START):
            while not done and not task.done():  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.1)
    try:
        yield done
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def measure(video: Path, folder: Path, seconds: float) -> dict[str, Any]:
    found = {}
    async with live(video) as session:
        for name, given in CASES.items():
            async with contextlib.AsyncExitStack() as stack:
                done = [0]
                if given is not None:
                    done = await stack.enter_async_context(job(video, folder, *given))
                await asyncio.sleep(WARM)
                session.stats.clear()
                before, began = done[-1:] or [0], time.monotonic()
                await asyncio.sleep(seconds)
                stats, passed = list(session.stats), time.monotonic() - began
                rate = ((done[-1:] or [0])[0] - before[0]) / passed
            found[name] = {
                "masks": round(statistics.fmean(one.fps_tracker for one in stats), 1),
                "age_ms": _mean([one.mask_age_ms for one in stats]),
                "latency_ms": _mean([one.latency_ms for one in stats]),
                "job": round(rate, 2) or None,
            }
    return found


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 1) if known else None


def _compute() -> None:
    while True:
        sum(range(100_000))


@contextmanager
def busy() -> Iterator[None]:
    """Every core computes."""
    cores = len(os.sched_getaffinity(0))
    processes = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(cores)]
    for one in processes:
        one.start()
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.join(10)


def main() -> None:
    options = machine.parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--video", type=Path, default=SOURCE, help="what to take a part of")
    given = options.parse_args()
    seconds = QUICK if given.quick else MEASURED
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = clip(given.video, folder / "clip.mp4", 600)
        results = {"quiet": asyncio.run(measure(short, folder, seconds))}
        with busy():
            results["busy"] = asyncio.run(measure(short, folder, seconds))
    if given.json:
        machine.print_json(results)
    else:
        for name, rows in results.items():
            for key, values in rows.items():
                print(f"{name:6} {key:10} {values}")


if __name__ == "__main__":
    main()
