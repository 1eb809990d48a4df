"""Transactions of the database: all or nothing, and the next one works whatever the last did."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.database import Database
from stream.server.keys import Keys


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.close()


def test_after_one_that_could_not_be_committed_the_next_one_works(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction() as connection:  # noqa: PT012
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("INSERT INTO usage VALUES ('nobody', '2026-01-01', 1)")
    key = Keys(database).create("k")
    assert Keys(database).check(key).name == "k"
    with database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM usage").fetchone()[0] == 0


def test_what_sqlite_has_rolled_back_itself_keeps_its_own_error(database: Database) -> None:
    """As it does on a full disk."""
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:  # noqa: PT012
        connection.execute("ROLLBACK")
        raise ZeroDivisionError
    assert Keys(database).create("k")
