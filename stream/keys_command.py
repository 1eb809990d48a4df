"""The command `segstream keys`: what it prints."""

import argparse
import math
import time
from contextlib import closing

from stream import config
from stream.database import Database, data_folder
from stream.errors import InputError
from stream.server.keys import Key, Keys

MOST = 1e12
"""Credits: more seconds than anybody has video, and still exact in milliseconds."""


def run(action: str, arguments: argparse.Namespace) -> str:
    """Do it, and return what to print. Raises InputError."""
    folder = data_folder(arguments.data or config.load(path=arguments.config).data)
    with closing(Database(folder)) as database:
        keys = Keys(database)
        match action:
            case "create":
                return keys.create(
                    arguments.name,
                    _amount(arguments.credits, "--credits"),
                    arguments.jobs,
                    _amount(arguments.minutes_a_day, "--minutes-a-day", 60),
                    arguments.sessions,
                )
            case "revoke":
                keys.revoke(arguments.id)
                return f"key {arguments.id} is revoked"
            case "credit":
                amount = _amount(arguments.seconds, "credits", least=-MOST)
                key = keys.credit(arguments.id, amount or 0)
                return f"key {key.id} has {_seconds(key.credits)} credits"
        return table(keys.all())


def table(keys: list[Key]) -> str:
    """One line a key, under a heading."""
    rows = [("id", "name", "created", "credits", "jobs", "live", "today, s", "a day, s", "")]
    rows += [
        (
            key.id,
            key.name,
            time.strftime("%Y-%m-%d", time.gmtime(key.created)),
            _seconds(key.credits),
            f"{key.running}/{key.max_jobs}",
            f"{key.live}/{key.max_sessions}",
            _seconds(key.used_today),
            _seconds(key.daily),
            "revoked" if key.revoked else "",
        )
        for key in keys
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def _amount(given: float | None, what: str, unit: float = 1.0, least: float = 0.0) -> int | None:
    """Milliseconds of what was given in `unit` seconds."""
    if given is None:
        return None
    if not math.isfinite(given) or not least <= given <= MOST:
        raise InputError(f"{what} is {given:g}; wanted a number up to {MOST:g}")
    return round(given * unit * 1000)


def _seconds(amount: int | None) -> str:
    return "no limit" if amount is None else f"{amount / 1000:g}"
