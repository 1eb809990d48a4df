"""The database of keys, credits and jobs: one SQLite file that several processes use.

Every change is one transaction, so a process that is killed leaves all of it or nothing.
"""

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stream.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    created REAL NOT NULL,
    revoked REAL,
    credits INTEGER CHECK (credits >= 0),
    max_jobs INTEGER NOT NULL,
    daily INTEGER,
    max_sessions INTEGER NOT NULL DEFAULT 4
) STRICT;
CREATE TABLE IF NOT EXISTS live (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL REFERENCES keys (id),
    owner TEXT NOT NULL,
    counted REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holds (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL REFERENCES keys (id),
    amount INTEGER NOT NULL CHECK (amount >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS usage (
    key TEXT NOT NULL REFERENCES keys (id),
    day TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (key, day)
) STRICT;
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    key TEXT,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    is_call INTEGER NOT NULL,
    created REAL NOT NULL,
    finished REAL,
    starts INTEGER NOT NULL DEFAULT 0,
    duration INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    request TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
"""
"""Amounts are milliseconds of video. credits, daily: NULL is without limit. A hold is what a job
that has not ended has reserved; it is gone from `credits` already. live: sessions of a key, each
counted up to `counted`, in seconds since the epoch."""

MIGRATIONS = {1: "ALTER TABLE keys ADD COLUMN max_sessions INTEGER NOT NULL DEFAULT 4"}
"""What brings a database of a version to the next one, beside new tables."""

VERSION = 2

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process's transaction, which takes milliseconds."""


class Database:
    """Usable from any thread; transactions take turns. Raises InputError when it cannot be opened.

    folder: is made if there is none; only its owner can read it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turn = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                folder / "segstream.db",
                timeout=BUSY_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise _unusable(folder, error) from error
        try:
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            self._connection.close()
            raise _unusable(folder, error) from error

    def close(self) -> None:
        with self._turn:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that happens within is done, or, after an exception, none of it."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # on a full disk SQLite has ended it itself
                    self._connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        os.chmod(self.folder / "segstream.db", 0o600)
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a charge survives a power cut too
        connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction():
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > VERSION:
                raise sqlite3.DatabaseError("it was written by a newer segstream")
            for version in range(found or VERSION, VERSION):  # 0: a new one
                if version in MIGRATIONS:
                    connection.execute(MIGRATIONS[version])
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def data_folder(given: Path | None, environment: Mapping[str, str] | None = None) -> Path:
    """`given`, else the place for a program's data by the platform's convention."""
    if given is not None:
        return given
    variables = os.environ if environment is None else environment
    if sys.platform == "win32":
        return Path(variables.get("LOCALAPPDATA") or Path.home()) / "segstream"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "segstream"
    xdg = variables.get("XDG_DATA_HOME", "")
    return (Path(xdg) if xdg.startswith("/") else Path.home() / ".local/share") / "segstream"


def _unusable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the folder {folder} for keys and jobs cannot be used: {error}; "
        "name another one with SEGSTREAM_DATA"
    )
