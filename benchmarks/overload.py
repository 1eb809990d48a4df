"""What happens when one core of two is suddenly taken away?

    python -m benchmarks.overload --json [--quick]

The server's own code, in this process, and the embedded model in its worker, both held to two
cores; a peer (benchmarks.overload_client) sends pictures of each of SIZES, one after the other, at
30 a second, H264, has a box tracked and the background blurred, and reads the time code in what
returns. In the middle the server is held to one core, on which a process computes at higher
priority, for 20 s.

age_ms, drops and recovery_s are those of the first size while the core was away; sizes: of each,
before, during, after: age_ms, how old the pictures were that the peer saw, from being sent to being
decoded, and how many a second. after: from the end of the load until quality is back, 15 s at
least. drops: pictures by cause while the core was away. levels: [seconds since it was taken away,
step of the ladder (stream/overload.py)]. held: the lowest quality before, the step that the machine
carries. fresh_s: from the core's return until, for a second, nothing was older than half as much
again as the p95 before. recovery_s: until quality was what it had been, the step `held`; null: not
within the time given. Both are 0 when there was nothing to recover from.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks import machine
from stream.server.app import create_app
from stream.server.rtc import PEERS
from stream.settings import Settings

SIZES = (2560, 1440), (1280, 720)
"""The first is more than two cores carry at the best quality, the second is not."""

WARM, START_TIMEOUT, LOOK = 12.0, 60.0, 0.1
CALM, BUSY = 10.0, 20.0
AFTER = 15.0
RECOVERY, QUICK_RECOVERY = 180.0, 75.0

Samples = list[tuple[float, float]]
"""When a picture was seen, and how old it was, in seconds."""

Levels = list[tuple[float, int]]
"""Seconds since something began, and the step of the ladder from then on."""


def compute() -> None:
    with contextlib.suppress(OSError):  # then at the same
        os.nice(-5)
    while True:
        sum(range(100_000))


def hold_to(cores: Iterable[int], processes: Sequence[int]) -> None:
    """All their threads; new ones inherit it."""
    for process in processes:
        for task in Path(f"/proc/{process}/task").iterdir():
            try:
                os.sched_setaffinity(int(task.name), cores)
            except ProcessLookupError:  # ended meanwhile
                continue


def descendants(process: int) -> list[int]:
    """The process and all that it has started, theirs too."""
    found = [process]
    for parent in found:  # grows while it is read
        for task in Path(f"/proc/{parent}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                found += map(int, (task / "children").read_text().split())
    return found


def summary(samples: Samples, seconds: float) -> dict[str, Any]:
    ages = [age for _, age in samples]
    if len(ages) < 2:
        return {"age_ms": None, "fps": 0.0}
    cuts = statistics.quantiles(ages, n=100, method="inclusive")
    return {
        "age_ms": {
            "p50": round(cuts[49] * 1e3),
            "p95": round(cuts[94] * 1e3),
            "max": round(max(ages) * 1e3),
        },
        "fps": round(len(ages) / seconds, 1),
    }


def within(samples: Samples, begins: float, ends: float) -> Samples:
    return [sample for sample in samples if begins <= sample[0] < ends]


def fresh_after(samples: Samples, ends: float, usual: float) -> float | None:
    """Seconds from `ends` until for a second nothing was older than 1.5 times what is usual."""
    since = ends
    for when, age in samples:
        if when < ends:
            continue
        if age > 1.5 * usual:
            since = when
        elif when - since >= 1.0:
            return round(since - ends, 1)
    return None


def recovered_after(levels: Levels, held: int, ended: float) -> float | None:
    """Seconds from `ended` until the level was as good as `held` for the first time; None: it never
    was. Times of `levels` and `ended` have the same beginning."""
    [*_, (_, level)] = [each for each in levels if each[0] <= ended]
    if level <= held:
        return 0.0
    return next(
        (round(when - ended, 1) for when, at in levels if when > ended and at <= held), None
    )


class Client:
    """The peer, in a process of its own, and what it has seen."""

    def __init__(self, url: str, size: str, cores: Iterable[int]) -> None:
        self.samples: Samples = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.overload_client", url, size],
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, cores)

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self) -> None:
        """Until it ends; to be called in a thread."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            when, age, *_ = json.loads(line)
            self.samples.append((when, age))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def _measure(size: str, recovery: float) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    ours, one = cores[:2], cores[:1]
    if len(ours) < 2:
        sys.exit("there is one core only, which cannot be taken away; wanted two or more")
    app = create_app(Settings())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    # Before the client is started, which stands for another machine.
    server = descendants(os.getpid())
    hold_to(ours, server)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = Client(url, size, cores[2:] or cores[1:])
    spawn = multiprocessing.get_context("spawn")
    burner = spawn.Process(target=compute, daemon=True)
    reading = asyncio.create_task(asyncio.to_thread(client.read))
    try:
        for _ in range(int(START_TIMEOUT / LOOK)):
            if app[PEERS]._peers and client.samples:
                break
            await asyncio.sleep(LOOK)
        [peer] = app[PEERS]._peers.values()
        overload = peer._steering.overload
        await asyncio.sleep(WARM)
        calm = time.monotonic()
        held = [(0.0, overload.position)]
        await _follow(overload, held, calm, calm + CALM)
        lowest = max(level for _, level in held)
        before, began = _drops(peer), time.monotonic()
        hold_to(one, [pid for pid in descendants(os.getpid()) if pid != client.pid])
        burner.start()
        os.sched_setaffinity(burner.pid or 0, one)
        levels = [(0.0, overload.position)]
        await _follow(overload, levels, began, began + BUSY)
        lost = _drops(peer)
        burner.kill()
        hold_to(ours, [pid for pid in descendants(os.getpid()) if pid != client.pid])
        ended = time.monotonic()
        await _follow(overload, levels, began, ended + AFTER)
        await _follow(overload, levels, began, ended + recovery, until=lowest)
        now = time.monotonic()
        usual = summary(within(client.samples, calm, began), CALM)
        return {
            "before": usual,
            "during": summary(within(client.samples, began, ended), ended - began),
            "after": summary(within(client.samples, ended, now), now - ended),
            "drops": {cause: lost[cause] - before[cause] for cause in lost},
            "held": lowest,
            "levels": levels,
            "fresh_s": fresh_after(client.samples, ended, usual["age_ms"]["p95"] / 1e3),
            "recovery_s": recovered_after(levels, lowest, ended - began),
        }
    finally:
        client.kill()
        if burner.pid is not None:
            burner.kill()
        await reading
        await runner.cleanup()


async def _follow(
    overload: Any,
    levels: Levels,
    began: float,
    ends: float,
    until: int = -1,
) -> None:
    """Write down each change of the level, until it is as good as `until`."""
    while time.monotonic() < ends and overload.position > until:
        await asyncio.sleep(LOOK)
        if overload.position != levels[-1][1]:
            levels.append((round(time.monotonic() - began, 1), overload.position))


def _drops(peer: Any) -> dict[str, int]:
    session = peer.session
    broadcast = session.broadcast
    return {
        "decode": peer._undecoded(),
        "compose": session.passed_over,
        "encode": broadcast.frames.dropped,
        "late": broadcast.drops.late,
        "thinned": broadcast.drops.thinned,
        "viewer": peer._viewing.video.dropped,
        "tracker": session._tracker.dropped(session.id),
    }


def main() -> None:
    arguments = machine.parser(__doc__).parse_args()
    recovery = QUICK_RECOVERY if arguments.quick else RECOVERY
    results = {}
    for width, height in SIZES:
        size = f"{width}x{height}"
        results[size] = asyncio.run(_measure(size, recovery))
        print(size, results[size], file=sys.stderr)
    hardest = next(iter(results.values()))
    machine.print_json(
        {
            "age_ms": hardest["during"]["age_ms"],
            "drops": hardest["drops"],
            "recovery_s": hardest["recovery_s"],
            "sizes": results,
        }
    )


if __name__ == "__main__":
    main()
