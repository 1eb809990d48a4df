"""Jobs in the database. A job's credits are settled in the transaction that ends it, so whatever
is killed when, a job that has ended is paid once and one that has not still holds its credits.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream.database import Database
from stream.errors import Busy
from stream.limits import MAX_JOB_STARTS, MAX_QUEUED_JOBS
from stream.server.keys import Keys

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)


@dataclass(frozen=True, slots=True)
class Job:
    """key: whose it is; None: nobody's, made without one. is_call: somebody waits for it in one
    request. created, finished: seconds since the epoch. starts: times it was begun. duration:
    milliseconds of its video. request: as stream.jobs.request reads it. error: code, message and
    HTTP status of what made it fail."""

    id: str
    key: str | None
    state: str
    is_call: bool
    created: float
    finished: float | None
    starts: int
    duration: int
    frames: int
    request: dict[str, Any]
    error: dict[str, Any] | None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Summary:
    """counts: jobs in each state. age: seconds that the oldest queued one has waited. held:
    milliseconds of video that are reserved."""

    counts: dict[str, int]
    age: float
    held: int


class JobStore:
    """owner: this server among those that use the database; it works on its own jobs only."""

    def __init__(
        self, database: Database, keys: Keys, owner: str, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._keys = keys
        self._owner = owner
        self._now = now

    def add(
        self,
        id: str,
        key: str | None,
        is_call: bool,
        duration: int,
        frames: int,
        request: dict[str, Any],
    ) -> Job:
        """A queued job, its credits reserved. Raises Busy, TooMany, NoCredits, KeyRefused."""
        with self._database.transaction() as connection:
            waiting = connection.execute(
                "SELECT count(*) FROM jobs WHERE state IN (?, ?)", (QUEUED, RUNNING)
            ).fetchone()[0]
            if waiting >= MAX_QUEUED_JOBS:
                raise Busy(f"{waiting} jobs wait already; try again later", retry_after=60)
            if key is not None:
                self._keys.reserve(connection, key, id, duration)
            connection.execute(
                "INSERT INTO jobs (id, key, owner, state, is_call, created, duration, frames, "
                "request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    id,
                    key,
                    self._owner,
                    QUEUED,
                    is_call,
                    self._now(),
                    duration,
                    frames,
                    json.dumps(request),
                ),
            )
            return _read(connection, id)

    def get(self, id: str) -> Job | None:
        with self._database.transaction() as connection:
            row = connection.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone()
            return None if row is None else _job(row)

    def list(self, key: str | None, most: int) -> Sequence[Job]:
        """The newest of one key, newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT * FROM jobs WHERE key IS ? ORDER BY created DESC LIMIT ?", (key, most)
            )
            return [_job(row) for row in rows]

    def take(self, calls_only: bool = False) -> Job | None:
        """The next one to run, now running: what somebody waits for first, then the oldest.

        calls_only: nothing but what somebody waits for.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT id FROM jobs WHERE state = ? AND owner = ? AND is_call >= ? "
                "ORDER BY is_call DESC, created LIMIT 1",
                (QUEUED, self._owner, calls_only),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = ?, starts = starts + 1 WHERE id = ?", (RUNNING, row["id"])
            )
            return _read(connection, row["id"])

    def end(self, id: str, state: str, used: int, error: dict[str, Any] | None = None) -> bool:
        """Settle a job that waits or runs; False: it had ended already, and nothing changed.

        used: milliseconds of video to charge.
        """
        with self._database.transaction() as connection:
            return self._end(connection, id, state, used, error)

    def adopt(self, is_alive: Callable[[str], bool]) -> tuple[int, Sequence[str]]:
        """Take over the jobs of servers that are gone: they start again from the beginning.

        Calls end, for who waited is gone too; and so do jobs that were started too often.
        Returns how many are queued again, and the states of those that ended.
        """
        count = 0
        ended: list[str] = []
        with self._database.transaction() as connection:
            owners = connection.execute(
                "SELECT DISTINCT owner FROM jobs WHERE state IN (?, ?)", (QUEUED, RUNNING)
            ).fetchall()
            gone = [row["owner"] for row in owners if not is_alive(row["owner"])]
            for owner in gone:
                rows = connection.execute(
                    "SELECT * FROM jobs WHERE state IN (?, ?) AND owner = ?",
                    (QUEUED, RUNNING, owner),
                ).fetchall()
                for row in rows:
                    if row["is_call"]:
                        self._end(connection, row["id"], CANCELLED, 0, None)
                        ended.append(CANCELLED)
                    elif row["starts"] >= MAX_JOB_STARTS:
                        self._end(connection, row["id"], FAILED, 0, STARTED_TOO_OFTEN)
                        ended.append(FAILED)
                    else:
                        connection.execute(
                            "UPDATE jobs SET state = ?, owner = ? WHERE id = ?",
                            (QUEUED, self._owner, row["id"]),
                        )
                        count += 1
        return count, ended

    def expired(self, jobs_before: float, calls_before: float) -> Sequence[str]:
        """Ids of jobs that ended before these times, in seconds since the epoch."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT id FROM jobs WHERE finished < CASE is_call WHEN 1 THEN ? ELSE ? END",
                (calls_before, jobs_before),
            )
            return [row["id"] for row in rows]

    def delete(self, id: str) -> None:
        """Forget a job that has ended."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ? AND finished IS NOT NULL", (id,))

    def summary(self) -> Summary:
        """Of all servers' jobs."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
            counts = dict.fromkeys((QUEUED, RUNNING, *ENDED), 0) | {r[0]: r[1] for r in rows}
            query = "SELECT min(created) FROM jobs WHERE state = ?"
            (oldest,) = connection.execute(query, (QUEUED,)).fetchone()
            (held,) = connection.execute("SELECT coalesce(sum(amount), 0) FROM holds").fetchone()
        age = 0.0 if oldest is None else max(self._now() - oldest, 0.0)
        return Summary(counts, age, held)

    def _end(
        self,
        connection: sqlite3.Connection,
        id: str,
        state: str,
        used: int,
        error: dict[str, Any] | None,
    ) -> bool:
        done = connection.execute(
            "UPDATE jobs SET state = ?, finished = ?, error = ? WHERE id = ? AND state IN (?, ?)",
            (state, self._now(), json.dumps(error) if error else None, id, QUEUED, RUNNING),
        )
        if not done.rowcount:
            return False
        self._keys.settle(connection, id, used)
        return True


STARTED_TOO_OFTEN = {
    "code": "error",
    "message": f"the server died {MAX_JOB_STARTS} times while the job ran",
    "status": 500,
}


def new_id() -> str:
    return secrets.token_hex(12)


def _read(connection: sqlite3.Connection, id: str) -> Job:
    return _job(connection.execute("SELECT * FROM jobs WHERE id = ?", (id,)).fetchone())


def _job(row: sqlite3.Row) -> Job:
    return Job(
        row["id"],
        row["key"],
        row["state"],
        bool(row["is_call"]),
        row["created"],
        row["finished"],
        row["starts"],
        row["duration"],
        row["frames"],
        json.loads(row["request"]),
        json.loads(row["error"]) if row["error"] else None,
    )
