"""The jobs of one server: taken, queued, run at most so many at once, kept for a while."""

import asyncio
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream import loading, logs
from stream.database import Database
from stream.errors import Busy
from stream.jobs import pace, process
from stream.jobs.owner import Owner
from stream.jobs.process import JobError
from stream.jobs.request import DEFAULT_EXPORTS, FILES
from stream.jobs.store import CANCELLED, DONE, FAILED, Job, JobStore
from stream.limits import (
    CALL_KEPT,
    JOB_STALL,
    MAX_PROBES,
    MIN_FREE_DISK,
    PROBE_TIMEOUT,
)
from stream.metrics import CREDITS_CHARGED, JOBS_ENDED
from stream.server.drain import Drain
from stream.server.keys import Keys
from stream.settings import Settings
from stream.track.catalog import EMBEDDED

log = logging.getLogger(__name__)

SWEEP_INTERVAL = 60.0
"""Seconds between two looks for what is to be removed."""

RETRY = 5.0
"""Seconds until a database is asked again that failed: its disk is full, or its lock is held."""

ABANDONED = 3600.0
"""Seconds after which a folder that never became a job is removed: its upload has broken off."""


@dataclass(slots=True)
class Progress:
    """Of a job that this server has queued or runs. done: pictures. began: time.monotonic().

    changed: set when there is news, and replaced then; a reader that is slow misses some.
    """

    done: int = 0
    began: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[dict[str, Any]] | None" = None
    cancelled: bool = False

    def eta(self, frames: int) -> float | None:
        """Seconds that are left, by how fast it went so far; None before the first picture."""
        if self.began is None or not self.done:
            return None
        return max(frames - self.done, 0) * (time.monotonic() - self.began) / self.done

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """For one event loop; what touches the disk or the database runs in threads.

    drain: once it has begun, nothing more is taken or begun. is_live: whether live sessions want
    the device at this moment.
    A job's files: `input`, and its exports in `output/`.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        settings: Settings,
        drain: Drain | None = None,
        is_live: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder = database.folder / "jobs"
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self.keys = keys
        self.owner = Owner(database.folder / "servers")
        self.store = JobStore(database, keys, self.owner.id)
        self._settings = settings
        self._progress: dict[str, Progress] = {}
        self._waiting: list[asyncio.Event] = []
        self._probes = asyncio.Semaphore(MAX_PROBES)
        self._tasks: list[asyncio.Task[None]] = []
        self._drain = drain or Drain(0)
        self._is_live = is_live

    async def start(self) -> None:
        """Take over what dead servers left, and begin to work."""
        await self._adopt()
        for _ in range(self._settings.jobs):
            self._tasks.append(asyncio.create_task(self._work()))
        # One more for calls alone: who waits for an answer does not wait for a job of hours first.
        self._tasks.append(asyncio.create_task(self._work(calls_only=True)))
        self._tasks.append(asyncio.create_task(self._sweep()))

    @property
    def running(self) -> int:
        """Jobs that are worked on; those that are queued outlive the server."""
        return sum(progress.task is not None for progress in self._progress.values())

    def is_running(self, id: str) -> bool:
        """It is worked on."""
        return self.progress(id).task is not None

    async def stop(self) -> None:
        """End at once; jobs that run start again with the next server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.owner.close()

    async def new_folder(self, id: str) -> Path:
        """Where the video of a job to come is to be put, as `input`. Raises Busy."""
        free = (await asyncio.to_thread(shutil.disk_usage, self.folder)).free
        if free < MIN_FREE_DISK:
            raise Busy("the server's disk is full; try again later", retry_after=600)
        folder = self.folder / id
        await asyncio.to_thread(folder.mkdir, mode=0o700)
        return folder

    async def remove_folder(self, id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self.folder / id, ignore_errors=True)

    async def probe(self, id: str) -> dict[str, Any]:
        """Size, length and so on of the job's video. Raises JobError."""
        async with self._probes:
            orders = {"path": str(self.folder / id / "input")}
            return await process.run("stream.jobs.probe", orders, PROBE_TIMEOUT)

    async def submit(
        self, id: str, key: str | None, is_call: bool, found: dict[str, Any], request: Any
    ) -> Job:
        """Queue it. found: what `probe` said. Raises Busy, TooMany, NoCredits, KeyRefused."""
        self._drain.check()
        duration = round(found["duration"] * 1000)
        self._progress[id] = Progress()  # first, for it may be taken before `add` has returned
        try:
            job = await asyncio.to_thread(
                self.store.add, id, key, is_call, duration, found["frames"], request
            )
        except BaseException:
            self._progress.pop(id, None)
            raise
        self._wake()
        log.info("job %s: queued, %.1f s of video", id, found["duration"])
        return job

    async def get(self, id: str, key: str | None) -> Job | None:
        """None: there is none, or it is another's."""
        job = await asyncio.to_thread(self.store.get, id)
        return job if job is not None and job.key == key else None

    async def list(self, key: str | None, most: int) -> Sequence[Job]:
        return await asyncio.to_thread(self.store.list, key, most)

    def progress(self, id: str) -> Progress:
        return self._progress.get(id) or Progress()

    async def ended(self, id: str) -> Job:
        """The job, when it has ended."""
        while True:
            changed = self.progress(id).changed
            job = await asyncio.to_thread(self.store.get, id)
            if job is None or job.has_ended:
                assert job is not None
                return job
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_INTERVAL):
                    await changed.wait()

    async def cancel(self, job: Job) -> None:
        """End it; it costs what was done of it."""
        progress = self.progress(job.id)
        progress.cancelled = True
        if progress.task is not None:
            progress.task.cancel()
            return
        await self._end(job, CANCELLED, 0)

    async def delete(self, job: Job) -> None:
        """Remove a job that has ended, and its files."""
        await self.remove_folder(job.id)
        await asyncio.to_thread(self.store.delete, job.id)

    def results(self, job: Job) -> dict[str, Path]:
        """Name -> file of a job that is done, in the order in which they were asked for."""
        output = self.folder / job.id / "output"
        names = [FILES[name] for name in job.request.get("exports", DEFAULT_EXPORTS)]
        return {name: output / name for name in names}

    def _wake(self) -> None:
        """There is something to do for one of the workers."""
        for waiting in self._waiting:
            waiting.set()

    async def _work(self, calls_only: bool = False) -> None:
        """One job after the other, whatever goes wrong: nobody else would take the next one."""
        news = asyncio.Event()
        self._waiting.append(news)
        while True:
            try:
                await self._take_turn(news, calls_only)
            except Exception:
                log.exception("no job could be taken")
                await asyncio.sleep(RETRY)

    async def _take_turn(self, news: asyncio.Event, calls_only: bool) -> None:
        """Work on a job, or wait for one."""
        news.clear()  # before it is looked, or what comes meanwhile would wait for the next
        has_begun = self._drain.has_begun
        job = None if has_begun else await asyncio.to_thread(self.store.take, calls_only)
        if job is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_INTERVAL):
                    await news.wait()
            return
        try:
            with logs.about(job=job.id):
                await self._run(job)
        except Exception:
            log.exception("job %s failed", job.id)
            error = {"code": "error", "message": "the server failed", "status": 500}
            await self._end(job, FAILED, 0, error)

    async def _run(self, job: Job) -> None:
        progress = self._progress.setdefault(job.id, Progress())
        # It may have been cancelled while it was taken, which is nowhere but in the database then.
        now = await asyncio.to_thread(self.store.get, job.id)
        if progress.cancelled or now is None or now.has_ended:
            await self._end(job, CANCELLED, 0)
            return
        progress.task = asyncio.create_task(self._process(job, progress))
        progress.tell()
        try:
            done = await progress.task
        except JobError as error:
            told = {"code": error.code, "message": str(error), "status": error.status}
            await self._end(job, FAILED, 0, told)
        except asyncio.CancelledError:
            this = asyncio.current_task()
            assert this is not None
            is_stopping = this.cancelling() > 0  # and not only the job, or both
            if is_stopping:
                progress.task.cancel()
                await asyncio.wait([progress.task])
            if progress.cancelled:
                share = min(1.0, progress.done / max(job.frames, 1))
                await self._end(job, CANCELLED, round(job.duration * share))
            if is_stopping:
                raise
        else:
            await self._end(job, DONE, round(done["seconds"] * 1000))

    async def _process(self, job: Job, progress: Progress) -> dict[str, Any]:
        folder = self.folder / job.id
        output = folder / "output"
        await asyncio.to_thread(shutil.rmtree, output, ignore_errors=True)
        await asyncio.to_thread(output.mkdir)

        def heard(report: dict[str, Any]) -> None:
            if "frames" in report:
                if progress.began is None:
                    progress.began = time.monotonic()
                progress.done = report["frames"]
                progress.tell()

        orders = {
            "input": str(folder / "input"),
            "output": str(output),
            "request": job.request,
            "network": loading.as_json(self._network_of(job)),
            "duration": job.duration / 1000,
            "niceness": self._settings.job_nice,
        }
        log.info("job %s: runs", job.id)
        told = pace.told(self._rate)
        return await process.run("stream.jobs.runner", orders, JOB_STALL, heard, told)

    def _rate(self) -> float | None:
        """Pictures a second that each job may do; None: as many as it can."""
        return self._settings.job_rate / max(self.running, 1) if self._is_live() else None

    def model(self, job: Job) -> str:
        """The name of the model that works on it."""
        return str(job.request.get("model") or self._settings.model)

    def _network_of(self, job: Job) -> Settings:
        """What its process loads: the server's settings, but for what belongs to one model."""
        model = self.model(job)
        if model == self._settings.model:
            return self._settings
        is_embedded = model.partition("@")[0] == EMBEDDED
        device = "auto" if is_embedded else self._settings.device
        return replace(self._settings, model=model, weights=None, device=device)

    async def _end(
        self, job: Job, state: str, used: int, error: dict[str, Any] | None = None
    ) -> None:
        # Files go last: a job that has not ended may have to start again.
        if await self._store_end(job, state, used, error):
            JOBS_ENDED[state].inc()
            if job.key is not None:
                CREDITS_CHARGED.inc(min(used, job.duration) / 1000)
            with suppress(FileNotFoundError):
                await asyncio.to_thread((self.folder / job.id / "input").unlink)
            if state != DONE:
                await self.remove_folder(job.id)
            log.info("job %s: %s%s", job.id, state, f", {error['message']}" if error else "")
        if (progress := self._progress.pop(job.id, None)) is not None:
            progress.tell()

    async def _store_end(
        self, job: Job, state: str, used: int, error: dict[str, Any] | None
    ) -> bool:
        """False: it had ended already. Goes on until the database takes it, or the job's credits
        would stay reserved."""
        while True:
            try:
                return await asyncio.to_thread(self.store.end, job.id, state, used, error)
            except sqlite3.OperationalError:
                log.exception("job %s: its end could not be stored; it is tried again", job.id)
            if state != DONE:  # perhaps what it wrote fills the disk
                output = self.folder / job.id / "output"
                await asyncio.to_thread(shutil.rmtree, output, ignore_errors=True)
            await asyncio.sleep(RETRY)

    async def _adopt(self) -> None:
        """Take over what servers left that are gone, which others of the folder may be any time."""
        adopted, ended = await asyncio.to_thread(self.store.adopt, self.owner.is_alive)
        for state in ended:
            JOBS_ENDED[state].inc()
        if adopted:
            log.info("jobs of a server that is gone start again: %d", adopted)
            self._wake()

    async def _sweep(self) -> None:
        while True:
            try:
                await self._adopt()
                await self._remove_old()
            except Exception:
                log.exception("old jobs could not be removed")
            await asyncio.sleep(SWEEP_INTERVAL)

    async def _remove_old(self) -> None:
        now = time.time()
        kept = self._settings.keep_hours * 3600
        for id in await asyncio.to_thread(self.store.expired, now - kept, now - CALL_KEPT):
            await self.remove_folder(id)
            await asyncio.to_thread(self.store.delete, id)
        await asyncio.to_thread(self._remove_abandoned, now - ABANDONED)

    def _remove_abandoned(self, before: float) -> None:
        for folder in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < before and self.store.get(folder.name) is None:
                    shutil.rmtree(folder, ignore_errors=True)
