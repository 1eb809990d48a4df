"""Jobs in the database, and that each is paid once, whenever the server is killed."""

import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.database import Database
from stream.errors import Busy, NoCredits, TooMany
from stream.jobs import store as module
from stream.jobs.store import CANCELLED, DONE, FAILED, QUEUED, RUNNING, JobStore, Summary, new_id
from stream.server.keys import Keys

REQUEST: dict[str, Any] = {"prompts": [{"text": "person"}], "exports": ["mask"]}


class Clock:
    time = 1_760_000_000.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.close()


def make(database: Database, owner: str = "one") -> tuple[JobStore, Keys, str]:
    keys = Keys(database)
    key = keys.create("k", credits=100_000).split("_")[1]
    return JobStore(database, keys, owner, Clock()), keys, key


def add(store: JobStore, key: str | None, is_call: bool = False, duration: int = 10_000) -> str:
    return store.add(new_id(), key, is_call, duration, 300, REQUEST).id


def test_a_jobs_life(database: Database) -> None:
    store, keys, key = make(database)
    id = add(store, key)
    assert keys.get(key).credits == 90_000
    job = store.take()
    assert job is not None
    assert (job.id, job.state, job.starts, job.request) == (id, RUNNING, 1, REQUEST)
    assert store.take() is None
    assert store.end(id, DONE, 9000)
    assert not store.end(id, CANCELLED, 0)
    assert keys.get(key).credits == 91_000
    done = store.get(id)
    assert done is not None
    assert done.has_ended
    counts = {QUEUED: 0, RUNNING: 0, DONE: 1, FAILED: 0, CANCELLED: 0}
    assert store.summary() == Summary(counts, 0.0, 0)
    add(store, key)
    assert store.summary() == Summary({**counts, QUEUED: 1}, 1.0, 10_000)
    store.delete(id)
    assert store.get(id) is None


def test_calls_come_first_and_then_the_oldest(database: Database) -> None:
    store, _, key = make(database)
    first, second = add(store, key), add(store, None)
    call = add(store, key, is_call=True)
    taken = [job.id for job in (store.take(), store.take(), store.take()) if job]
    assert taken == [call, first, second]
    assert [job.id for job in store.list(key, 9)] == [call, first]
    assert [job.id for job in store.list(None, 9)] == [second]
    store.delete(first)  # runs: stays
    assert store.get(first) is not None


def test_what_is_refused_leaves_nothing(database: Database, monkeypatch: Any) -> None:
    store, keys, key = make(database)
    with pytest.raises(NoCredits):
        add(store, key, duration=100_001)
    for _ in range(4):
        add(store, key)
    with pytest.raises(TooMany):
        add(store, key)
    monkeypatch.setattr(module, "MAX_QUEUED_JOBS", 4)
    with pytest.raises(Busy):
        add(store, None)
    assert len(store.list(key, 99)) == 4
    assert keys.get(key).credits == 60_000


def test_jobs_of_the_dead_are_adopted(database: Database) -> None:
    dead, keys, key = make(database, "dead")
    living = JobStore(database, keys, "living", Clock())
    alive = JobStore(database, keys, "alive", Clock())
    running, waiting, call = add(dead, key), add(dead, key), add(dead, key, is_call=True)
    other = add(alive, None)
    assert [job and job.id for job in (dead.take(), dead.take())] == [call, running]
    assert living.adopt(lambda owner: owner != "dead") == (2, [CANCELLED])
    assert keys.get(key).held == 20_000  # the call's is given back
    assert [job.state for job in living.list(key, 9)] == [CANCELLED, QUEUED, QUEUED]
    assert living.take(calls_only=True) is None
    taken = [living.take(), living.take(), living.take()]
    assert [job and job.id for job in taken] == [running, waiting, None]
    assert taken[0] is not None
    assert taken[0].starts == 2
    found = alive.take()
    assert found is not None
    assert found.id == other


def test_a_job_that_kills_every_server_fails(database: Database) -> None:
    _, keys, key = make(database, "x")
    stores = [JobStore(database, keys, str(i), Clock()) for i in range(5)]
    id = add(stores[0], key)
    for before, after in itertools.pairwise(stores):
        if before.take() is None:
            break
        after.adopt(lambda owner, mine=after: owner == mine._owner)  # type: ignore[misc]
    job = stores[0].get(id)
    assert job is not None
    assert (job.state, job.starts) == (FAILED, 3)
    assert keys.get(key).credits == 100_000


def test_what_is_old_is_found(database: Database) -> None:
    store, _, _ = make(database)
    ids = [add(store, None), add(store, None, is_call=True), add(store, None)]
    for id in ids[:2]:
        store.end(id, DONE, 0)
    assert store.expired(0, 0) == []
    assert store.expired(2e9, 0) == [ids[0]]
    assert store.expired(0, 2e9) == [ids[1]]


SERVER = """
import random, sys
from pathlib import Path
from stream.database import Database
from stream.jobs.owner import Owner
from stream.jobs.store import DONE, FAILED, CANCELLED, JobStore, new_id
from stream.server.keys import Keys
folder, key, seed = sys.argv[1:]
database, chance = Database(Path(folder)), random.Random(int(seed))
owner = Owner(Path(folder) / "servers")
store = JobStore(database, Keys(database), owner.id)
store.adopt(owner.is_alive)
print("ready", flush=True)
for _ in range(100_000):
    store.add(new_id(), key, chance.random() < 0.3, 100, 3, {})
    while (job := store.take()) is not None and chance.random() < 0.9:
        state, used = chance.choice([(DONE, 100), (FAILED, 0), (CANCELLED, 40)])
        store.end(job.id, state, used)
    if job is not None:
        store.end(job.id, DONE, 100)
"""


def test_each_job_is_paid_once_by_a_server_that_is_killed(tmp_path: Path) -> None:
    chance, granted = random.Random(3), 10_000_000
    database = Database(tmp_path)
    keys = Keys(database)
    key = keys.create("k", credits=granted).split("_")[1]
    for seed in range(10):
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(tmp_path), key, str(seed)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.3))
        server.send_signal(signal.SIGKILL)
        server.communicate(timeout=30)
        with database.transaction() as connection:
            holds = {row["id"] for row in connection.execute("SELECT id FROM holds")}
            held = connection.execute("SELECT coalesce(sum(amount), 0) FROM holds").fetchone()[0]
            used = connection.execute("SELECT coalesce(sum(amount), 0) FROM usage").fetchone()[0]
            open_jobs = {
                row["id"]
                for row in connection.execute("SELECT id FROM jobs WHERE finished IS NULL")
            }
            done, cancelled = (
                connection.execute("SELECT count(*) FROM jobs WHERE state = ?", (s,)).fetchone()[0]
                for s in (DONE, CANCELLED)
            )
        assert holds == open_jobs
        assert (keys.get(key).credits or 0) + held + used == granted
        # Calls that were open when a server died are cancelled too, and cost nothing.
        assert done * 100 <= used <= done * 100 + cancelled * 40
        assert used >= done * 100 + (cancelled - seed - 1) * 40
    assert done > 0
    last = JobStore(database, keys, "last")
    last.adopt(lambda owner: owner == "last")
    waiting = [job for job in last.list(key, 10**6) if not job.has_ended]
    assert keys.get(key).held == 100 * len(waiting)
    database.close()
