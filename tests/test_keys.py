"""API keys and credits; a process that spends them is killed at random points."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream import cli
from stream.database import Database, data_folder
from stream.errors import InputError, KeyRefused, NoCredits, TooMany
from stream.server.keys import Keys

MIDNIGHT = 1_760_054_400.0
"""2025-10-10, 0:00 UTC."""


class Clock:
    time = MIDNIGHT + 1000

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "data")
    yield database
    database.close()


def identity(key: str) -> str:
    return key.split("_")[1]


def reserve(keys: Keys, database: Database, key: str, hold: str, amount: int) -> None:
    with database.transaction() as connection:
        keys.reserve(connection, key, hold, amount)


def settle(keys: Keys, database: Database, hold: str, used: int) -> None:
    with database.transaction() as connection:
        keys.settle(connection, hold, used)


def test_a_key_is_known_by_its_secret_only(database: Database) -> None:
    keys = Keys(database)
    assert not keys.any_valid()
    one, two = keys.create("one"), keys.create("two", credits=5000)
    assert keys.check(one).name == "one"
    assert keys.check(two).credits == 5000
    assert keys.any_valid()
    secret = one.rpartition("_")[2]
    stored = (database.folder / "segstream.db").read_bytes()
    stored += (database.folder / "segstream.db-wal").read_bytes()
    assert identity(one).encode() in stored
    assert secret.encode() not in stored
    mixed = f"sgs_{identity(one)}_{two.split('_', 2)[2]}"
    for wrong in ("", "x", one[:-1], one + "x", one.upper(), mixed, "sgs_000000000000_" + "a" * 43):
        with pytest.raises(KeyRefused):
            keys.check(wrong)


def test_a_revoked_key_is_refused_and_its_job_is_still_settled(database: Database) -> None:
    keys = Keys(database)
    key = keys.create("k", credits=10_000)
    reserve(keys, database, identity(key), "job", 4000)
    keys.revoke(identity(key))
    with pytest.raises(KeyRefused):
        keys.check(key)
    with pytest.raises(KeyRefused):
        reserve(keys, database, identity(key), "other", 1)
    settle(keys, database, "job", 1000)
    assert keys.get(identity(key)).credits == 9000
    assert not keys.any_valid()
    with pytest.raises(InputError, match="no key"):
        keys.revoke("nobody")


def test_what_was_not_used_goes_back_once(database: Database) -> None:
    keys = Keys(database)
    key = identity(keys.create("k", credits=10_000))
    reserve(keys, database, key, "a", 6000)
    assert (keys.get(key).credits, keys.get(key).held) == (4000, 6000)
    with pytest.raises(NoCredits, match=r"4\.0"):
        reserve(keys, database, key, "b", 4001)
    for _ in range(2):
        settle(keys, database, "a", 2500)
    assert (keys.get(key).credits, keys.get(key).used_today) == (7500, 2500)
    reserve(keys, database, key, "c", 7500)
    settle(keys, database, "c", 99_999)
    assert keys.get(key).credits == 0
    assert keys.get(key).used_today == 10_000
    assert keys.credit(key, 500).credits == 500
    assert keys.credit(key, -9000).credits == 0


def test_limits_of_a_key(database: Database) -> None:
    clock = Clock()
    keys = Keys(database, clock)
    key = identity(keys.create("k", max_jobs=2, daily=10_000))
    assert keys.get(key).credits is None
    reserve(keys, database, key, "a", 6000)
    with pytest.raises(TooMany, match=r"4\.0 s left") as refusal:
        reserve(keys, database, key, "b", 5000)
    assert refusal.value.retry_after == 86400 - 1000 + 1
    reserve(keys, database, key, "b", 4000)
    with pytest.raises(TooMany, match="2 jobs"):
        reserve(keys, database, key, "c", 0)
    settle(keys, database, "a", 6000)
    settle(keys, database, "b", 4000)
    with pytest.raises(TooMany):
        reserve(keys, database, key, "d", 1)
    clock.time += 86400
    reserve(keys, database, key, "d", 10_000)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 61}, {"name": "k", "max_jobs": 0}]
)
def test_keys_that_are_not_made(database: Database, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Keys(database).create(**wrong)  # type: ignore[arg-type]


SPENDER = """
import random, sys
from pathlib import Path
from stream.database import Database
from stream.server.keys import Keys
folder, key, seed = sys.argv[1:]
database, chance = Database(Path(folder)), random.Random(int(seed))
keys = Keys(database)
print("ready", flush=True)
for i in range(100_000):
    hold, amount = f"{seed}-{i}", chance.randrange(1, 50)
    with database.transaction() as connection:
        keys.reserve(connection, key, hold, amount)
    used = chance.choice([0, amount, chance.randrange(amount + 1)])
    with database.transaction() as connection:
        keys.settle(connection, hold, used)
    print("used", used, flush=True)
"""


def test_nothing_is_lost_or_spent_twice_by_a_killed_process(tmp_path: Path) -> None:
    """The spender says what it was charged after each charge; at most one it had no time to say."""
    chance, granted, said, unsaid = random.Random(7), 10_000_000, 0, 0
    folder = tmp_path / "data"
    database = Database(folder)
    keys = Keys(database)
    key = identity(keys.create("k", credits=granted))
    for seed in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(folder), key, str(seed)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=30)
        complete = output[: output.rfind(b"\n") + 1].decode()
        said += sum(map(int, re.findall(r"used (\d+)", complete)))
        with database.transaction() as connection:
            held = connection.execute("SELECT id, amount FROM holds").fetchall()
            used = connection.execute("SELECT coalesce(sum(amount), 0) FROM usage").fetchone()[0]
        assert len(held) <= 1
        left = keys.get(key).credits or 0
        assert left + sum(row["amount"] for row in held) + used == granted
        unsaid = used - said
        assert 0 <= unsaid <= 50 * (seed + 1)
        for row in held:
            settle(keys, database, row["id"], 0)
        assert (keys.get(key).credits or 0) + used == granted
        assert keys.get(key).held == 0
    assert said > 0
    database.close()


def test_two_processes_do_not_overdraw(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    database = Database(folder)
    keys = Keys(database)
    key = identity(keys.create("k", credits=3000))
    spenders = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(folder), key, str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in spenders]
    said = sum(int(n) for out, _ in outputs for n in re.findall(rb"used (\d+)", out))
    assert all(b"NoCredits" in errors for _, errors in outputs)
    assert said + (keys.get(key).credits or 0) == 3000
    database.close()


def test_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSTREAM_DATA", str(tmp_path / "data"))

    def run(*arguments: str, code: int = 0) -> str:
        assert cli.main(["keys", *arguments]) == code
        captured = capsys.readouterr()
        return (captured.err if code else captured.out).strip()

    key = run("create", "mine", "--credits", "90", "--minutes-a-day", "10", "--jobs", "2")
    assert re.fullmatch(r"sgs_[0-9a-f]{12}_\S{43}", key)
    free = run("create", "another")
    assert run("credit", identity(key), "10.5") == f"key {identity(key)} has 100.5 credits"
    assert run("revoke", identity(free)).endswith("is revoked")
    table = run("list")
    assert re.search(rf"{identity(key)}  mine .* 100\.5 .*0/2 .*600", table)
    assert re.search(rf"{identity(free)}  another .*no limit.*revoked", table)
    assert key not in table
    assert "no key" in run("revoke", "nobody", code=2)
    assert "nan" in run("create", "x", "--credits", "nan", code=2)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    assert "SEGSTREAM_DATA" in run("--data", str(tmp_path / "file"), "list", code=2)


def test_the_folder_follows_the_platform(tmp_path: Path) -> None:
    assert data_folder(tmp_path) == tmp_path
    if sys.platform == "linux":
        assert data_folder(None, {"XDG_DATA_HOME": "/x"}) == Path("/x/segstream")
        home = data_folder(None, {"XDG_DATA_HOME": "relative"})
        assert home == Path.home() / ".local/share/segstream"


def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with database.transaction() as connection:
        connection.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="newer"):
        Database(tmp_path)
