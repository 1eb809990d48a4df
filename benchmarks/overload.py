"""What happens when one core of two is suddenly taken away?

    python -m benchmarks.overload --json [--quick]

The server's own code, in this process, and the embedded model in its worker, both held to two
cores; a peer (benchmarks.overload_client) sends 2560x1440 at 30 a second, H264, has a box tracked
and the background blurred, and reads the time code in what returns. In the middle the server is
held to one core, on which a process computes at higher priority, for 20 s.

before, during, after: age_ms, how old the pictures were that the peer saw, from being sent to being
decoded, and how many a second. after: from the end of the load until quality is back, 15 s at
least. drops: pictures by cause while the core was away. levels: [seconds since it was taken away,
step of the ladder (stream/overload.py)]. fresh_s: from its return until, for a second, nothing was
older than half as much again as the p95 before. recovery_s: until quality was at its best; null:
not within the time given. Both are 0 when there was nothing to recover from.
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

WARM, START_TIMEOUT, LOOK = 8.0, 60.0, 0.1
CALM, BUSY = 10.0, 20.0
AFTER = 15.0
RECOVERY, QUICK_RECOVERY = 180.0, 75.0

Samples = list[tuple[float, float]]
"""When a picture was seen, and how old it was, in seconds."""


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


class Client:
    """The peer, in a process of its own, and what it has seen."""

    def __init__(self, url: str, cores: Iterable[int]) -> None:
        self.samples: Samples = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.overload_client", url],
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
            when, age = json.loads(line)
            self.samples.append((when, age))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def _measure(recovery: float) -> dict[str, Any]:
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
    client = Client(f"http://127.0.0.1:{runner.addresses[0][1]}", cores[2:] or cores[1:])
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
        await asyncio.sleep(CALM)
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
        await _follow(overload, levels, began, ended + recovery, until_best=True)
        now = time.monotonic()
        usual = summary(within(client.samples, calm, began), CALM)
        was_best = all(level == 0 for at, level in levels)
        recovered = 0.0 if was_best else round(began + levels[-1][0] - ended, 1)
        return {
            "before": usual,
            "during": summary(within(client.samples, began, ended), ended - began),
            "after": summary(within(client.samples, ended, now), now - ended),
            "drops": {cause: lost[cause] - before[cause] for cause in lost},
            "levels": levels,
            "fresh_s": fresh_after(client.samples, ended, usual["age_ms"]["p95"] / 1e3),
            "recovery_s": None if overload.position else max(recovered, 0.0),
        }
    finally:
        client.kill()
        if burner.pid is not None:
            burner.kill()
        await reading
        await runner.cleanup()


async def _follow(
    overload: Any,
    levels: list[tuple[float, int]],
    began: float,
    ends: float,
    *,
    until_best: bool = False,
) -> None:
    """Write down each change of the level."""
    while time.monotonic() < ends and not (until_best and overload.position == 0):
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
    results = asyncio.run(_measure(QUICK_RECOVERY if arguments.quick else RECOVERY))
    print(results, file=sys.stderr)
    machine.print_json(results)


if __name__ == "__main__":
    main()
