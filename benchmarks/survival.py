"""Kill the worker again and again under two live sessions: what does a viewer notice?

Two sessions get a clip each at 30 pictures a second, to and fro without end, and one click each.
Then the worker is killed with SIGKILL, and again a few seconds after it was replaced.

picture_gap_ms: between two composited pictures, the longest around each kill.
mask_gap_ms: between the last masks before a kill and the first ones after it.
replaced_ms: from the kill to the replacement being ready; masks_after_ms: from there to masks.
iou_after: of the masks in the second after they are back with those of a tracker that was never
interrupted and saw every picture, mean over all kills; iou_after_worst: the worst kill's mean.
iou_before: the same before each kill, which is how much two trackers differ anyway.
"""

import asyncio
import os
import random
import signal
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from benchmarks import machine
from benchmarks.davis import DATA, Clip, clips, read_mask, read_picture
from stream.frames import Frame, Image, Masks
from stream.messages import AddBox
from stream.prompts import Box
from stream.session import Session
from stream.settings import Settings
from stream.track import catalog
from stream.track.tracker import Tracker
from stream.worker.launch import engine
from stream.worker.messages import Update
from stream.worker.supervisor import Supervisor

CLIPS = ("blackswan", "dog")
RATE = 30
KILLS, QUICK_KILLS = 10, 2
BETWEEN = (2.5, 3.5)
"""Seconds from the masks' return to the next kill."""

AFTER = 1.0
"""Seconds of masks that count before and after a kill."""

TIMEOUT = 60.0
POLL = 0.002


@dataclass(slots=True)
class Live:
    """One session with its clip, and when what came out of it."""

    session: Session
    pictures: Sequence[av.VideoFrame]
    reference: dict[int, Masks]
    shown: list[float] = field(default_factory=list)
    masks: list[tuple[float, Masks]] = field(default_factory=list)

    async def send(self) -> None:
        began = time.monotonic()
        for index in range(1_000_000):
            await asyncio.sleep(max(began + index / RATE - time.monotonic(), 0))
            picture = self.pictures[index % len(self.pictures)]
            copy = picture.reformat()  # a session keeps nothing in it, but pts are a picture's own
            copy.pts, copy.time_base = index * 90_000 // RATE, Fraction(1, 90_000)
            self.session.receive(copy)

    async def watch(self) -> None:
        frames = self.session.watch()
        while True:
            await frames.get()
            self.shown.append(time.monotonic())

    def iou(self, since: float, until: float) -> float:
        """With the uninterrupted tracker's masks, mean; 0 where there was none to compare."""
        found = [masks for at, masks in self.masks if since <= at <= until]
        period = len(self.pictures)
        return statistics.fmean(
            [_iou(masks, self.reference[masks.index % period]) for masks in found] or [0.0]
        )


@dataclass(frozen=True, slots=True)
class Kill:
    at: float
    ready: float
    back: float


def main(arguments: Sequence[str] | None = None) -> None:
    options = machine.parser(__doc__.splitlines()[0])
    given = options.parse_args(arguments)
    results = asyncio.run(_run(QUICK_KILLS if given.quick else KILLS))
    if given.json:
        machine.print_json(results)
    else:
        for name, value in results.items():
            print(f"{name:18} {value}")


async def _run(kills: int) -> dict[str, Any]:
    found = clips(DATA, CLIPS)
    references = [await asyncio.to_thread(_uninterrupted, clip) for clip in found]
    lives: list[Live] = []

    class Watched(Supervisor):
        def open(self, session: str, on_report: Any) -> None:
            def note(report: Any) -> None:
                if isinstance(report, Update) and report.masks is not None:
                    lives[int(session)].masks.append((time.monotonic(), report.masks))
                on_report(report)

            super().open(session, note)

    supervisor = Watched(engine(Settings()), max_restarts=kills)
    await asyncio.to_thread(supervisor.start)
    pool = ThreadPoolExecutor(2)
    tasks: list[asyncio.Task[None]] = []
    try:
        for number, (clip, reference) in enumerate(zip(found, references, strict=True)):
            session = Session(str(number), supervisor, pool, lambda event: None)
            lives.append(Live(session, _to_and_fro(clip), reference))
            session.start()
            box = _box(clip)
            session.request(None, AddBox(box.x0, box.y0, box.x1, box.y1, None))
        for live in lives:
            tasks += [asyncio.create_task(live.send()), asyncio.create_task(live.watch())]
        chance = random.Random(1)
        await _until(lambda: all(live.masks for live in lives))
        done = []
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(*BETWEEN))
            done.append(await _kill(supervisor, lives))
        await asyncio.sleep(AFTER + 0.5)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in lives:
            await live.session.close()
        await asyncio.to_thread(supervisor.stop)
        pool.shutdown()
    return _results(lives, done)


async def _kill(supervisor: Supervisor, lives: Sequence[Live]) -> Kill:
    pid = supervisor.worker_pid
    assert pid is not None
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await _until(lambda: supervisor.worker_pid not in (None, pid))
    ready = time.monotonic()
    await _until(lambda: all(live.masks[-1][0] > ready for live in lives))
    return Kill(at, ready, time.monotonic())


async def _until(condition: Any) -> None:
    for _ in range(round(TIMEOUT / POLL)):
        if condition():
            return
        await asyncio.sleep(POLL)
    raise TimeoutError(f"not within {TIMEOUT} s")


def _results(lives: Sequence[Live], kills: Sequence[Kill]) -> dict[str, Any]:
    picture_gaps, mask_gaps, before, after = [], [], [], []
    for kill in kills:
        for live in lives:
            shown = [at for at in live.shown if kill.at - 0.5 <= at <= kill.back + 0.5]
            picture_gaps.append(max(np.diff(shown)))
            returned = min(at for at, _ in live.masks if at > kill.ready)
            mask_gaps.append(returned - max(at for at, _ in live.masks if at < kill.ready))
            before.append(live.iou(kill.at - AFTER, kill.at))
            after.append(live.iou(returned, returned + AFTER))
    return {
        "kills": len(kills),
        "picture_gap_ms": _spread(picture_gaps),
        "mask_gap_ms": _spread(mask_gaps),
        "replaced_ms": _spread([kill.ready - kill.at for kill in kills]),
        "masks_after_ms": _spread([kill.back - kill.ready for kill in kills]),
        "iou_after": round(statistics.fmean(after), 4),
        "iou_after_worst": round(min(after), 4),
        "iou_before": round(statistics.fmean(before), 4),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(1000 * statistics.median(seconds), 1),
        "max": round(1000 * max(seconds), 1),
    }


def _uninterrupted(clip: Clip) -> dict[int, Masks]:
    """What a tracker finds that sees every picture of the second time to and fro."""
    tracker = Tracker(catalog.load())
    pictures = _to_and_fro(clip)
    found: dict[int, Masks] = {}
    for index in range(2 * len(pictures)):
        image = _image(pictures[index % len(pictures)], tracker.image_size, index)
        found[index % len(pictures)] = tracker.step(image, () if index else (_box(clip),))
    return found


def _to_and_fro(clip: Clip) -> list[av.VideoFrame]:
    forth = [
        av.VideoFrame.from_ndarray(read_picture(path), "rgb24").reformat(format="yuv420p")
        for path in clip.pictures
    ]
    return forth + forth[-2:0:-1]


def _image(picture: av.VideoFrame, size: int, index: int) -> Image:
    return Frame(picture, index, 0, Fraction(1, RATE)).image(size)


def _box(clip: Clip) -> Box:
    rows, columns = np.nonzero(read_mask(clip.annotations[0]))
    return Box(1, float(columns.min()), float(rows.min()), float(columns.max()), float(rows.max()))


def _iou(found: Masks, wanted: Masks) -> float:
    a, b = found.logits[0] > 0, wanted.logits[0] > 0
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


if __name__ == "__main__":
    main()
