"""API keys, and the credits that their jobs are paid with.

A key is `sgs_ID_SECRET`. The secret is 256 random bits and shown once; what is stored is its
SHA-256, from which nobody can guess back to so many bits, slow hash or not. Amounts are
milliseconds of video: a job reserves its video's length when it is taken and is charged for what
was processed when it ends.
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from stream.database import Database
from stream.errors import InputError, KeyRefused, NoCredits, TooMany
from stream.server import tokens

MAX_JOBS = 4
"""A key's jobs at once, unless the operator says otherwise."""

MAX_SESSIONS = 4
"""A key's live sessions at once, unless the operator says otherwise."""

MAX_NAME = 60

_KEY = re.compile(r"sgs_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")

_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """credits, daily: milliseconds of video, None without limit. used_today: charged since midnight
    UTC, live sessions' time too. held: reserved by jobs that have not ended. running: those. live:
    sessions that go on."""

    id: str
    name: str
    created: float
    revoked: bool
    credits: int | None
    max_jobs: int
    daily: int | None
    used_today: int
    held: int
    running: int
    max_sessions: int
    live: int


class Keys:
    """now: seconds since the epoch, which decides what day it is."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def create(
        self,
        name: str,
        credits: int | None = None,
        max_jobs: int = MAX_JOBS,
        daily: int | None = None,
        max_sessions: int = MAX_SESSIONS,
    ) -> str:
        """Returns the key, which nothing can tell again. Raises InputError."""
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise InputError(f"the name of a key has 1 to {MAX_NAME} printable characters")
        if max_jobs < 1 or min(credits or 0, daily or 0, max_sessions) < 0:
            raise InputError("a key's limits are numbers from 0, and its jobs at once from 1")
        id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?)",
                (id, name, _digest(secret), self._now(), credits, max_jobs, daily, max_sessions),
            )
        return f"sgs_{id}_{secret}"

    def all(self) -> list[Key]:
        """Oldest first."""
        with self._database.transaction() as connection:
            ids = [row["id"] for row in connection.execute("SELECT id FROM keys ORDER BY created")]
            return [self.read(connection, id) for id in ids]

    def get(self, id: str) -> Key:
        """Raises InputError."""
        with self._database.transaction() as connection:
            return self.read(connection, id)

    def any_valid(self) -> bool:
        with self._database.transaction() as connection:
            found = connection.execute("SELECT 1 FROM keys WHERE revoked IS NULL LIMIT 1")
            return found.fetchone() is not None

    def check(self, given: str) -> Key:
        """The key that was given. Raises KeyRefused, in the same time whatever is wrong."""
        parts = _KEY.fullmatch(given)
        id, secret = parts.groups() if parts else ("", "")
        with self._database.transaction() as connection:
            query = "SELECT digest FROM keys WHERE id = ? AND revoked IS NULL"
            row = connection.execute(query, (id,)).fetchone()
            known = hmac.compare_digest(_NOBODY if row is None else row["digest"], _digest(secret))
            if row is None or not known:
                raise KeyRefused("the key is unknown or revoked")
            return self.read(connection, id)

    def session_token(self, id: str, expires: int) -> str:
        """expires: seconds since the epoch."""
        with self._database.transaction() as connection:
            return tokens.make(id, expires, tokens.secret(connection))

    def identify(self, given: str) -> str:
        """The id of the key that was given, or that made the session token. Raises KeyRefused."""
        if not given.startswith((tokens.PREFIX, "sgs_")):
            raise KeyRefused("the token is wrong; it is no key and no session token either")
        if not given.startswith(tokens.PREFIX):
            return self.check(given).id
        with self._database.transaction() as connection:
            id = tokens.read(given, self._now(), tokens.secret(connection))
            query = "SELECT 1 FROM keys WHERE id = ? AND revoked IS NULL"
            if connection.execute(query, (id,)).fetchone() is None:
                raise KeyRefused("the key that made the token was revoked")
            return id

    def revoke(self, id: str) -> None:
        """Its jobs go on, but nothing new is taken. Raises InputError."""
        with self._database.transaction() as connection:
            self.read(connection, id)
            connection.execute(
                "UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (self._now(), id)
            )

    def credit(self, id: str, amount: int) -> Key:
        """Add credits, or with a negative amount take some away, never below 0.

        A key without limit gets this one. Raises InputError.
        """
        with self._database.transaction() as connection:
            self.read(connection, id)
            connection.execute(
                "UPDATE keys SET credits = max(0, coalesce(credits, 0) + ?) WHERE id = ?",
                (amount, id),
            )
            return self.read(connection, id)

    def check_room(self, key: Key) -> None:
        """Raise what `reserve` surely would, before a video is fetched for nothing."""
        if key.credits == 0:
            raise NoCredits("the key has no credits left")
        if key.running >= key.max_jobs:
            raise TooMany(f"the key has {key.running} jobs, and may have {key.max_jobs} at once")

    def reserve(self, connection: sqlite3.Connection, key_id: str, hold: str, amount: int) -> None:
        """Within a transaction: take `amount` aside for the job `hold`.

        Raises KeyRefused, NoCredits, TooMany; the transaction is then to be rolled back.
        """
        key = self.read(connection, key_id)
        if key.revoked:
            raise KeyRefused("the key was revoked")
        if key.running >= key.max_jobs:
            raise TooMany(f"the key has {key.running} jobs, and may have {key.max_jobs} at once")
        if key.daily is not None and key.used_today + key.held + amount > key.daily:
            left = max(0, key.daily - key.used_today - key.held)
            raise TooMany(
                f"the video is {amount / 1000:.1f} s long; today the key has {left / 1000:.1f} s "
                f"left of {key.daily / 1000:.1f}",
                retry_after=self._until_midnight(),
            )
        if key.credits is not None and key.credits < amount:
            raise NoCredits(
                f"the video needs {amount / 1000:.1f} credits, one a second; "
                f"the key has {key.credits / 1000:.1f}"
            )
        connection.execute("UPDATE keys SET credits = credits - ? WHERE id = ?", (amount, key_id))
        connection.execute("INSERT INTO holds VALUES (?, ?, ?)", (hold, key_id, amount))

    def settle(self, connection: sqlite3.Connection, hold: str, used: int) -> None:
        """Within a transaction: charge what was used, at most what was reserved; the rest goes
        back. A hold that is settled already, or never was, changes nothing."""
        row = connection.execute("SELECT key, amount FROM holds WHERE id = ?", (hold,)).fetchone()
        if row is None:
            return
        used = min(max(used, 0), row["amount"])
        connection.execute("DELETE FROM holds WHERE id = ?", (hold,))
        connection.execute(
            "UPDATE keys SET credits = credits + ? WHERE id = ?", (row["amount"] - used, row["key"])
        )
        self.use(connection, row["key"], used)

    def use(self, connection: sqlite3.Connection, key: str, used: int) -> None:
        """Within a transaction: count milliseconds for the key's day."""
        connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?) "
            "ON CONFLICT (key, day) DO UPDATE SET amount = amount + excluded.amount",
            (key, self._day(), used),
        )

    def check_day(self, key: Key) -> None:
        """Raise TooMany when nothing is left of the key's day."""
        if key.daily is not None and key.used_today + key.held >= key.daily:
            raise TooMany(
                f"the key has used its {key.daily / 1000:.1f} s of today",
                retry_after=self._until_midnight(),
            )

    def read(self, connection: sqlite3.Connection, id: str) -> Key:
        """Within a transaction. Raises InputError."""
        row = connection.execute("SELECT * FROM keys WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InputError(f"there is no key {id[:20]!r}; 'segstream keys list' shows all")
        used = connection.execute(
            "SELECT amount FROM usage WHERE key = ? AND day = ?", (id, self._day())
        ).fetchone()
        running, held = connection.execute(
            "SELECT count(*), coalesce(sum(amount), 0) FROM holds WHERE key = ?", (id,)
        ).fetchone()
        live = connection.execute(
            "SELECT count(*) AS count FROM live WHERE key = ?", (id,)
        ).fetchone()
        return Key(
            id,
            row["name"],
            row["created"],
            row["revoked"] is not None,
            row["credits"],
            row["max_jobs"],
            row["daily"],
            used["amount"] if used else 0,
            held,
            running,
            row["max_sessions"],
            live["count"],
        )

    def _until_midnight(self) -> int:
        """Seconds, by UTC."""
        return int(86400 - self._now() % 86400) + 1

    def _day(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._now()))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
