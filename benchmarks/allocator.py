"""What glibc's allocator costs: page faults and milliseconds with its defaults and without.

    python -m benchmarks.allocator --json [--quick]

Each figure comes from a process of its own, because glibc reads its settings when a process
starts; the settings take turns, so that whatever else the machine does meets all of them.
Reported for each piece of work and setting: ms a step (median of the processes' medians), minor
page faults a step, and the peak of resident memory in MiB.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.davis import DATA, clips, read_mask, read_picture
from stream.frames import Frame
from stream.prompts import MaskPrompt
from stream.worker.launch import ALLOCATOR

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "worker": ALLOCATOR,
    "training": {**ALLOCATOR, "MALLOC_TOP_PAD_": "536870912"},
    "no_mmap": {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "17179869184"},
}
"""`worker`: what the program starts its worker with. `training`: DESIGN.md's. `no_mmap`: large
blocks come from the heap, which is not given back; nothing else is changed."""

WARM = 12
STEPS, QUICK_STEPS = 60, 15
ROUNDS, QUICK_ROUNDS = 5, 1


def main() -> None:
    options = machine.parser(__doc__.splitlines()[0])
    options.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    options.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    options.add_argument("--only", choices=WORK, action="append", help="this piece of work alone")
    given = options.parse_args()
    if given.work:
        print(json.dumps(_measure(WORK[given.work](), given.steps)))
        return
    results = _compare(given.only or list(WORK), given.quick)
    if given.json:
        machine.print_json({"work": results})
        return
    for work, settings in results.items():
        for name, figures in settings.items():
            print(f"{work:16} {name:10} {figures}")


def _compare(works: list[str], quick: bool) -> dict[str, dict[str, Any]]:
    steps, rounds = (QUICK_STEPS, QUICK_ROUNDS) if quick else (STEPS, ROUNDS)
    results: dict[str, dict[str, Any]] = {}
    for work in works:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
        for _ in range(rounds):
            for name, settings in SETTINGS.items():
                runs[name].append(_run(work, steps, settings))
        results[work] = {
            name: {key: round(statistics.median(run[key] for run in found), 1) for key in found[0]}
            for name, found in runs.items()
        }
    return results


def _run(work: str, steps: int, settings: Mapping[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.allocator", "--work", work, "--steps", str(steps)]
    done = subprocess.run(
        command,
        env={**os.environ, **settings},
        cwd=machine.REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(step: Callable[[], object], steps: int) -> dict[str, float]:
    for _ in range(WARM):
        step()
    before, times = resource.getrusage(resource.RUSAGE_SELF), []
    for _ in range(steps):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "ms": 1000 * statistics.median(times),
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "peak_mib": after.ru_maxrss / 1024,
    }


def _frames() -> list[Frame]:
    import av

    clip = clips(DATA, ["dog"])[0].first(12)
    pictures = (av.VideoFrame.from_ndarray(read_picture(path), "rgb24") for path in clip.pictures)
    return [
        Frame(picture.reformat(format="yuv420p"), index, index, Fraction(1, 30))
        for index, picture in enumerate(pictures)
    ]


def _onnx(threads: int) -> Callable[[], object]:
    from stream.track import catalog

    return _steps(catalog.load("nano", threads=threads))


def _torch(threads: int) -> Callable[[], object]:
    import torch

    from stream.track.networks.sam2 import Sam2Network
    from stream.training.checkpoint import nano_model

    torch.set_num_threads(threads)
    return _steps(Sam2Network(nano_model()))


def _steps(network: Any) -> Callable[[], object]:
    """One step with one object a call, on a real clip over and over."""
    from stream.track.tracker import Tracker

    tracker, count = Tracker(network), 0
    images = [frame.image(tracker.image_size) for frame in _frames()]
    mask = read_mask(clips(DATA, ["dog"])[0].annotations[0])
    tracker.step(images[0], (MaskPrompt(1, mask),))

    def step() -> object:
        nonlocal count
        count += 1
        return tracker.step(images[count % len(images)])

    return step


def _compose(effect: str) -> Callable[[], object]:
    """One 1080p picture a call, on a thread of a pool as in the server: its arena is another."""
    import av

    from stream.compose.compositor import Compositor
    from stream.compose.effects import Effect
    from stream.frames import Masks

    compositor = Compositor()
    compositor.set_effect(Effect(effect))
    picture = _frames()[0].picture.reformat(1920, 1080)
    assert isinstance(picture, av.VideoFrame)
    logits = np.full((1, 64, 64), -10, np.float32)
    logits[0, 20:50, 20:40] = 10
    masks = Masks((1,), logits, np.ones(1, np.float32), np.ones(1, np.float32), 0)
    pool = ThreadPoolExecutor(1)
    return lambda: pool.submit(compositor.compose, picture, masks).result()


WORK: Mapping[str, Callable[[], Callable[[], object]]] = {
    "nano-onnx-1": lambda: _onnx(1),
    "nano-onnx-2": lambda: _onnx(2),
    "nano-torch-1": lambda: _torch(1),
    "nano-torch-2": lambda: _torch(2),
    "compose-overlay": lambda: _compose("overlay"),
    "compose-blur": lambda: _compose("blur"),
    "compose-colour": lambda: _compose("colour"),
}
"""Name -> what makes the step; the number is that of CPU threads."""


if __name__ == "__main__":
    main()
