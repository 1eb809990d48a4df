"""The jobs of one server when something goes wrong around them: the database, a cancel, the end."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rtc_client import eventually

from stream.database import Database
from stream.jobs import manager, process
from stream.jobs.manager import ABANDONED, Jobs
from stream.jobs.store import CANCELLED, DONE, RUNNING, Job, new_id
from stream.limits import CALL_KEPT
from stream.metrics import JOBS_ENDED
from stream.server import jobs as routes
from stream.server.keys import Keys
from stream.settings import Settings

FOUND = {"duration": 1.0, "frames": 5}
REQUEST: dict[str, Any] = {"prompts": [{"point": [1, 1]}]}


class Work:
    """Stands for the process of a job. go: what it waits for. rates: that it was told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0
        self.rates: list[float | None] = []

    async def __call__(
        self, module: str, orders: Any, silence: float, heard: Any, told: Any
    ) -> Any:
        self.running += 1
        heard({"frames": 2})
        listening = asyncio.create_task(self._listen(told))
        try:
            return await self._work(orders)
        finally:
            listening.cancel()

    async def _listen(self, told: Any) -> None:
        async for message in told:
            self.rates.append(message["rate"])

    async def _work(self, orders: Any) -> Any:
        await self.go.wait()
        (Path(orders["output"]) / "video.mp4").write_bytes(b"video")
        return {"seconds": 1.0, "frames": 5}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work()
    monkeypatch.setattr(manager.process, "run", made)
    return made


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    database = Database(tmp_path)
    made = Jobs(database, Keys(database), Settings())
    yield made
    async with asyncio.timeout(10):
        await made.stop()
    database.close()


async def queue(jobs: Jobs, key: str | None = None, is_call: bool = False) -> Job:
    id = new_id()
    folder = await jobs.new_folder(id)
    (folder / "input").write_bytes(b"video")
    return await jobs.submit(id, key, is_call, FOUND, REQUEST)


async def state(jobs: Jobs, job: Job) -> str:
    found = await jobs.get(job.id, job.key)
    assert found is not None
    return found.state


async def test_a_job_without_exports_has_the_usual_one(jobs: Jobs, work: Work) -> None:
    job = await queue(jobs)
    assert routes.describe(jobs, job)["state"] == "queued"
    await jobs.start()
    work.go.set()
    done = await jobs.ended(job.id)
    results = routes.describe(jobs, done)["results"]
    assert [found["name"] for found in results] == ["video.mp4"]


async def test_jobs_are_slow_while_live_sessions_want_the_device(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they get the rate that is set, and all they can when nobody is live any more."""
    monkeypatch.setattr(manager.pace, "LOOK_INTERVAL", 0.01)
    database, live = Database(tmp_path), [True]
    settings = Settings(jobs=2, job_rate=3)
    jobs = Jobs(database, Keys(database), settings, is_live=lambda: live[0])
    ids = [(await queue(jobs)).id]
    await jobs.start()
    await eventually(lambda: work.rates == [3])
    ids.append((await queue(jobs)).id)
    await eventually(lambda: sorted(work.rates) == [1.5, 1.5, 3])
    live[0] = False
    await eventually(lambda: work.rates[3:] == [None, None])
    work.go.set()
    assert [(await jobs.ended(id)).state for id in ids] == [DONE, DONE]
    await jobs.stop()
    database.close()


async def test_a_database_that_fails_for_a_while_ends_no_worker(
    jobs: Jobs, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does while the disk is full, or another program holds its lock."""
    monkeypatch.setattr(manager, "RETRY", 0.05)
    for name in ("take", "end"):
        left, good = [3], getattr(jobs.store, name)

        def failing(*given: Any, good: Any = good, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise sqlite3.OperationalError("database or disk is full")
            return good(*given)

        monkeypatch.setattr(jobs.store, name, failing)
    key = jobs.keys.create("k", credits=10_000)
    job = await queue(jobs, key.split("_")[1])
    await jobs.start()
    work.go.set()
    async with asyncio.timeout(10):
        assert (await jobs.ended(job.id)).state == DONE
    assert work.running == 1
    assert jobs.keys.check(key).credits == 9_000


async def test_a_cancel_that_comes_too_late_takes_no_results_away(jobs: Jobs, work: Work) -> None:
    before = await queue(jobs)
    await jobs.start()
    work.go.set()
    done = await jobs.ended(before.id)
    await jobs.cancel(before)  # as who asked before it ended knows it
    assert await state(jobs, before) == DONE
    (path,) = jobs.results(done).values()
    assert path.read_bytes() == b"video"


async def test_the_end_of_the_server_is_not_taken_for_the_cancel_of_a_job(
    jobs: Jobs, work: Work
) -> None:
    job = await queue(jobs)
    await jobs.start()
    await eventually(lambda: work.running)
    assert await state(jobs, job) == RUNNING
    await jobs.cancel(job)
    for task in jobs._tasks:  # as `stop` does
        task.cancel()
    _, still = await asyncio.wait(jobs._tasks, timeout=10)
    assert not still
    assert await state(jobs, job) == CANCELLED


async def test_a_job_that_is_taken_before_its_request_is_answered_can_be_cancelled(
    jobs: Jobs, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jobs.start()
    loop, add = asyncio.get_running_loop(), jobs.store.add

    def add_and_wait(*given: Any) -> Job:
        job = add(*given)
        loop.call_soon_threadsafe(jobs._wake)
        for _ in range(500):
            if work.running:
                break
            time.sleep(0.01)
        return job

    monkeypatch.setattr(jobs.store, "add", add_and_wait)
    job = await queue(jobs)
    assert jobs.running == 1
    assert jobs.progress(job.id).done == 2
    await jobs.cancel(job)
    await eventually(lambda: not jobs.running)
    assert await state(jobs, job) == CANCELLED


async def test_jobs_of_a_server_that_dies_beside_this_one_are_taken_over(
    tmp_path: Path, jobs: Jobs, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only of one that was dead when this one began."""
    monkeypatch.setattr(manager, "SWEEP_INTERVAL", 0.05)
    other = Jobs(jobs.store._database, jobs.keys, Settings())
    await jobs.start()
    left, call = await queue(other), await queue(other, is_call=True)
    await asyncio.sleep(0.3)
    assert await state(jobs, left) == "queued"
    before = JOBS_ENDED[CANCELLED]._value.get()
    other.owner.close()
    work.go.set()
    await eventually(lambda: work.running)
    assert (await jobs.ended(left.id)).state == DONE
    assert await state(jobs, call) == CANCELLED
    assert JOBS_ENDED[CANCELLED]._value.get() == before + 1


async def test_what_is_kept_and_for_how_long(
    tmp_path: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results for the hours that are set, calls' for less, broken uploads for one."""
    database, now = Database(tmp_path), time.time()
    jobs = Jobs(database, Keys(database), Settings(keep_hours=2))
    work.go.set()
    await jobs.start()
    job, call = await queue(jobs), await queue(jobs, is_call=True)
    for one in (job, call):
        assert (await jobs.ended(one.id)).state == DONE
    await jobs.new_folder("broken-off")
    await jobs.new_folder("coming-in")
    clock = [now]
    monkeypatch.setattr(manager.time, "time", lambda: clock[0])

    async def kept(seconds: float) -> set[str]:
        clock[0] = now + seconds
        old = now + seconds - ABANDONED - 1
        if seconds == CALL_KEPT + 60:
            os.utime(jobs.folder / "broken-off", (old, old))
        await jobs._remove_old()
        return {folder.name for folder in jobs.folder.iterdir()}

    assert await kept(0) == {job.id, call.id, "broken-off", "coming-in"}
    assert await kept(CALL_KEPT + 60) == {job.id, "coming-in"}
    assert await jobs.get(call.id, None) is None
    assert await kept(2 * 3600 - 60) >= {job.id}
    assert await kept(2 * 3600 + 60) == set()
    assert await jobs.get(job.id, None) is None
    await jobs.stop()
    database.close()


async def test_a_job_that_is_cancelled_while_it_is_taken_is_let_go(
    jobs: Jobs, work: Work, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a call is when the server begins to end, and a job by DELETE. Its folder is gone, and to
    run it was an error in the log."""
    loop, take = asyncio.get_running_loop(), jobs.store.take
    taken: list[Job] = []

    def take_and_wait(*given: Any) -> Job | None:
        job = take(*given)
        if job is not None:
            taken.append(job)
            asyncio.run_coroutine_threadsafe(jobs.cancel(job), loop).result(10)
        return job

    monkeypatch.setattr(jobs.store, "take", take_and_wait)
    job = await queue(jobs)
    await jobs.start()
    await eventually(lambda: taken)
    assert (await jobs.ended(job.id)).state == CANCELLED
    await asyncio.sleep(0.3)  # for it to be run, were it
    assert work.running == 0
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


SLOW_TO_END = """
import atexit, os, time
from stream.jobs import talk
def work(orders, reports):
    reports.say(seconds=1.0, frames=5)
    atexit.register(time.sleep, 30)
if __name__ == "__main__":
    raise SystemExit(talk.main(work))
"""


async def test_a_process_that_is_slow_to_end_has_done_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside live sessions a job gets so little of a CPU that its own end takes long."""
    (tmp_path / "slow_to_end.py").write_text(SLOW_TO_END)
    paths = [str(tmp_path), str(Path(__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(process, "END_TIMEOUT", 0.2)
    assert await process.run("slow_to_end", {}, 30) == {"seconds": 1.0, "frames": 5}
