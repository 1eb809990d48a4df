"""Is it well, and may it be given work? /healthz and /readyz ask here."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from shutil import disk_usage

from aiohttp import web

from stream.limits import CHECK_TIMEOUT, MIN_DISK_FREE
from stream.metrics import LOOP_LAG
from stream.server.drain import DRAIN
from stream.worker.supervisor import Supervisor

LAG_INTERVAL = 0.25
"""Seconds between two looks at how late the event loop is."""

Check = Callable[[], str | None]
"""Looks at one thing, on a thread; None: it is well, else what is wrong with it."""


class Checks:
    """All that /healthz looks at; that it answers at all says that the event loop runs."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._lasting: set[str] = set()
        self._running: dict[str, asyncio.Task[str | None]] = {}

    def add(self, name: str, check: Check, lasting: bool = False) -> None:
        """lasting: a restart does not mend what it finds; the server is not ready, but well."""
        self._checks[name] = check
        if lasting:
            self._lasting.add(name)

    def is_well(self, found: dict[str, str]) -> bool:
        """A restart would mend nothing of what `run` found."""
        return all(text == "ok" or name in self._lasting for name, text in found.items())

    async def run(self) -> dict[str, str]:
        """ "ok" or what is wrong, of each, after CHECK_TIMEOUT at most."""
        names = list(self._checks)
        return dict(zip(names, await asyncio.gather(*map(self._one, names)), strict=True))

    async def _one(self, name: str) -> str:
        # One that hangs is not begun a second time, or each question would take another thread.
        if (task := self._running.get(name)) is None:
            task = asyncio.create_task(asyncio.to_thread(self._checks[name]))
            task.add_done_callback(lambda _: self._running.pop(name))
            self._running[name] = task
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                return await asyncio.shield(task) or "ok"
        except TimeoutError:
            return f"no answer within {CHECK_TIMEOUT:g} s"
        except Exception as error:
            return f"failed: {type(error).__name__} {error}"[:200]


CHECKS = web.AppKey("checks", Checks)
TRACKER = web.AppKey("tracker", Supervisor)


def worker(tracker: Supervisor) -> Check:
    """The worker works or is being replaced, and the supervisor does its duty."""

    def check() -> str | None:
        health = tracker.health()
        if health.state == "failed":
            return "it keeps failing; the log says why"
        # A worker is replaced after `limit`; one that still is there long after says that nobody
        # looks. Twice, since looks are counted, not the clock.
        if health.silent is not None and health.silent > 2 * health.limit:
            return f"silent for {health.silent:.0f} s and not replaced"
        return None

    return check


def threads(pool: Executor) -> Check:
    """A thread is free to composite a picture, within CHECK_TIMEOUT."""

    def check() -> str | None:
        try:
            pool.submit(int).result(CHECK_TIMEOUT / 2)
        except FutureTimeoutError:
            return "all are busy"
        return None

    return check


def folder(path: Path) -> Check:
    """Files can be written in it, and its disk has room."""

    def check() -> str | None:
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b"well")
                file.flush()
            free = disk_usage(path).free
        except OSError as error:
            return f"cannot write in {path}: {(error.strerror or str(error)).lower()}"
        if free < MIN_DISK_FREE:
            return f"{path} has {free >> 20} MiB free; wanted {MIN_DISK_FREE >> 20}"
        return None

    return check


async def watch_loop() -> None:
    """Measure how late the event loop is, for ever."""
    while True:
        due = time.monotonic() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        LOOP_LAG.observe(max(time.monotonic() - due, 0.0))


async def get_readyz(request: web.Request) -> web.Response:
    """Whether new sessions should be sent here. Before the model is loaded, nobody answers."""
    state = request.app[TRACKER].health().state
    found = await request.app[CHECKS].run()
    wrong = [f"{name}: {text}" for name, text in found.items() if text != "ok"]
    if request.app[DRAIN].has_begun:
        reason = "draining"
    elif state != "ready":
        reason = f"worker {state}"
    elif wrong:
        reason = "; ".join(wrong)
    else:
        return web.json_response({"ready": True})
    return web.json_response({"ready": False, "reason": reason}, status=503)
