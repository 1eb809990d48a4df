"""Does anything grow while viewers come and go? One camera, for half an hour.

    python -m benchmarks.camera_soak --json [--quick]

The server's own code, in this process, with one camera: a clip of a webcam, played again and again
at its own pace, the person in it tracked by the embedded model, the background blurred. Two viewers
(benchmarks.camera_soak_viewers) watch it by WHEP for 10 s, 3 s apart, go, and come again. Each time
nobody is there, everything is counted. --quick: two minutes.

server, worker, reader (the camera's process): [before, after], `before` once everything was used
a few times: open files, threads, MiB of resident memory; of the server, tasks of its event loop
too. grown: those that did not come back, which makes the benchmark fail. pictures: seen by the
viewers; fewest: by one of them in one visit.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from tqdm import tqdm

from benchmarks import machine
from benchmarks.camera_soak_viewers import APART, STAY
from benchmarks.davis import DATA
from benchmarks.overload import descendants
from stream.cameras import read_config
from stream.server.app import create_app
from stream.server.cameras import CAMERAS
from stream.server.health import TRACKER
from stream.server.rtc import PEERS
from stream.settings import Settings

CLIP = DATA.parents[1] / "video" / "webcam" / "night.mkv"
CAMERA = {"name": "soak", "url": str(CLIP), "text": "person", "effect": "blur"}

SECONDS, QUICK_SECONDS = 1800.0, 120.0
WARM_SHARE = 0.2
"""Of the time, before the first look that counts: pools, caches and the allocator fill first. Pools
of threads get another one only when all are busy at once, which may take minutes."""

START_TIMEOUT = 60.0
LEAVE_TIMEOUT = 20.0
"""Seconds in which a viewer that went is noticed, and what it held is free again."""

SPARE = {"files": 2.0, "threads": 2.0, "tasks": 0.0, "mib": 16.0}
"""How much more may be at the end: connections that are just being closed, a pool's next thread,
what the allocator keeps. A viewer takes a task, a file and more; what 200 of them leave shows."""


@dataclass(frozen=True, slots=True)
class Held:
    """What processes hold together. mib: of resident memory."""

    files: int
    threads: int
    mib: float


def held(processes: Iterable[int]) -> Held:
    files = threads = 0
    pages = 0
    for process in processes:
        folder = Path(f"/proc/{process}")
        files += len(os.listdir(folder / "fd"))
        threads += len(os.listdir(folder / "task"))
        pages += int((folder / "statm").read_text().split()[1])
    return Held(files, threads, round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1))


class Viewers:
    """Both of them, in a process of their own. pictures: of each visit so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self.pictures: list[int] = []
        self._process = process

    async def visit(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"again\n")
        async with asyncio.timeout(STAY + APART + START_TIMEOUT):
            line = await self._process.stdout.readline()
        if not line:
            sys.exit("the viewers have ended; what they said stands above")
        self.pictures += json.loads(line)


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Viewers]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.camera_soak_viewers", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Viewers(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[web.Application, str]]:
    """The server, and its URL."""
    app = create_app(Settings(camera_files=True))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield app, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Raises TimeoutError, which says `what` did not happen."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.1)


def look(app: web.Application, viewers: Viewers) -> dict[str, dict[str, float]]:
    """What each process holds, while nobody watches."""
    gc.collect()  # else what is garbage already counts by chance
    worker = app[TRACKER].worker_pid
    assert worker is not None, "the worker has ended"
    mine = os.getpid()
    others = {*descendants(mine)} - {mine, worker, *descendants(viewers.pid)}
    found = {"server": held([mine]), "worker": held([worker]), "reader": held(others)}
    figures = {
        name: {"files": of.files, "threads": of.threads, "mib": of.mib}
        for name, of in found.items()
    }
    figures["server"]["tasks"] = len(asyncio.all_tasks())
    return figures


def grown(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> list[str]:
    """What is more than it was, by more than may be: "worker mib"."""
    return [
        f"{process} {kind}"
        for process, figures in before.items()
        for kind, figure in figures.items()
        if after[process][kind] > figure + SPARE[kind]
    ]


async def soak(seconds: float) -> dict[str, Any]:
    """Raises TimeoutError when no picture comes, or nobody notices that a viewer went."""
    async with serving() as (app, url):
        camera = await app[CAMERAS].add(read_config(CAMERA, files=True))
        async with watching(f"{url}/whep/camera/{CAMERA['name']}") as viewers:
            await until(lambda: camera.session.received, START_TIMEOUT, "the camera's pictures")

            async def visit() -> dict[str, dict[str, float]]:
                await viewers.visit()
                await until(
                    lambda: not any(app[PEERS].watching.values()),
                    LEAVE_TIMEOUT,
                    "the end of a viewer that went",
                )
                return look(app, viewers)

            began = time.monotonic()
            before = after = await visit()
            with tqdm(total=round(seconds), unit="s", file=sys.stderr) as bar:
                while (now := time.monotonic() - began) < seconds:
                    bar.update(round(now) - bar.n)
                    after = await visit()
                    if now < WARM_SHARE * seconds:
                        before = after
            # What a viewer held may take a moment to be free.
            ends = time.monotonic() + LEAVE_TIMEOUT
            while grown(before, after) and time.monotonic() < ends:
                await asyncio.sleep(1.0)
                after = look(app, viewers)
            return {
                "seconds": round(time.monotonic() - began),
                "visits": len(viewers.pictures),
                "pictures": sum(viewers.pictures),
                "fewest": min(viewers.pictures),
                **{
                    process: {kind: [before[process][kind], after[process][kind]] for kind in of}
                    for process, of in before.items()
                },
                "restarts": app[TRACKER].restarts,
                "grown": grown(before, after),
            }


def main() -> int:
    given = machine.parser(__doc__).parse_args()
    result = asyncio.run(soak(QUICK_SECONDS if given.quick else SECONDS))
    if given.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:10} {value}")
    if result["grown"]:
        print(f"grown: {', '.join(result['grown'])}", file=sys.stderr)
    return 1 if result["grown"] else 0


if __name__ == "__main__":
    sys.exit(main())
