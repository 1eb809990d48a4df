"""Live sessions in the database: how many a key has at once, and how long they last.

A session's time is added to the key's day every few seconds while it goes on, so that a server
that is killed loses no more of it. Its row names the server, and goes with it.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable

from stream.database import Database
from stream.errors import KeyRefused, TooMany
from stream.limits import LIVE_COUNT_INTERVAL
from stream.server.keys import Keys

LONGEST_COUNT = 6 * LIVE_COUNT_INTERVAL
"""Seconds that can have gone by between two counts, on a machine however busy."""


class LiveKeys:
    """owner: this server among those that use the database. is_alive: of a server's id."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        owner: str,
        is_alive: Callable[[str], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._keys = keys
        self._owner = owner
        self._is_alive = is_alive
        self._now = now

    def open(self, key: str) -> str:
        """Begin a session of the key; returns what to name it by here. Raises TooMany,
        KeyRefused."""
        with self._database.transaction() as connection:
            self._forget_dead(connection)
            found = self._keys.read(connection, key)
            if found.revoked:
                raise KeyRefused("the key was revoked")
            if found.live >= found.max_sessions:
                raise TooMany(
                    f"the key has {found.live} live sessions, and may have "
                    f"{found.max_sessions} at once"
                )
            self._keys.check_day(found)
            id = secrets.token_hex(8)
            connection.execute(
                "INSERT INTO live VALUES (?, ?, ?, ?)", (id, key, self._owner, self._now())
            )
            return id

    def count(self, id: str) -> str | None:
        """Add the time since the last call to the key's day; why it must end now, or None."""
        with self._database.transaction() as connection:
            if (key := self._count(connection, id)) is None:
                return "its key is gone"
            found = self._keys.read(connection, key)
            if found.revoked:
                return "its key was revoked"
            try:
                self._keys.check_day(found)
            except TooMany as error:
                return str(error)
            return None

    def close(self, id: str) -> None:
        """End it; doing it again changes nothing."""
        with self._database.transaction() as connection:
            self._count(connection, id)
            connection.execute("DELETE FROM live WHERE id = ?", (id,))

    def _count(self, connection: sqlite3.Connection, id: str) -> str | None:
        row = connection.execute("SELECT key, counted FROM live WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        now = self._now()
        # A clock that is set back costs nobody anything, one that is set forward a minute.
        seconds = min(max(now - row["counted"], 0.0), LONGEST_COUNT)
        self._keys.use(connection, row["key"], round(seconds * 1000))
        connection.execute("UPDATE live SET counted = ? WHERE id = ?", (now, id))
        return str(row["key"])

    def _forget_dead(self, connection: sqlite3.Connection) -> None:
        owners = connection.execute("SELECT DISTINCT owner FROM live").fetchall()
        for owner in (row["owner"] for row in owners):
            if not self._is_alive(owner):
                connection.execute("DELETE FROM live WHERE owner = ?", (owner,))
