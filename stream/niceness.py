"""Letting other processes go first, in a way that Linux heeds."""

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import NamedTuple

AUTOGROUP = Path("/proc/self/autogroup")
ATTEMPTS, PAUSE = 5, 0.12
"""The kernel takes one change in 0.1 s, of all processes together."""


def step_back(niceness: int) -> None:
    """Make this process `niceness` nicer, 0 to 19; to be called before it starts threads.

    Where the kernel groups processes by session (sched_autogroup, usual on desktops), niceness only
    counts within a session, and a tracker took half of the CPU from the browser beside it: pictures
    were 130 ms old instead of 54, and 18 a second came instead of 28. So the process gets a session
    of its own, and this the niceness too. Where something of this is not there, it is left out.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.nice(niceness)
    with contextlib.suppress(OSError, AttributeError):
        os.setsid()
        if AUTOGROUP.exists():
            _set_group(niceness)


def _set_group(niceness: int) -> None:
    for attempt in range(ATTEMPTS):
        try:
            AUTOGROUP.write_text(str(niceness))
            return
        except OSError as error:
            if error.errno != errno.EAGAIN or attempt == ATTEMPTS - 1:
                raise
        time.sleep(PAUSE)


class Turns(NamedTuple):
    """How a process fares beside others, its threads together since it began. computed, waited:
    seconds, waited as far as it got its turn since. wants: a thread would compute at this moment.
    """

    computed: float
    waited: float
    wants: bool

    @classmethod
    def of(cls, process: int | None) -> "Turns":
        """All 0 where the kernel does not say, or when it has ended or not begun."""
        computed = waited = 0
        wants = False
        with contextlib.suppress(OSError, ValueError):
            for task in Path(f"/proc/{process}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                    ran, stood, _ = map(int, (task / "schedstat").read_text().split())
                    computed, waited = computed + ran, waited + stood
                    wants |= (task / "stat").read_text().rpartition(") ")[2].startswith("R")
        return cls(computed / 1e9, waited / 1e9, wants)

    def kept_waiting(self, before: "Turns", seconds: float) -> bool:
        """Whether others had the turn for most of the time since `before`. What has waited all the
        while is not counted by the kernel yet."""
        starves = before.wants and self.wants and self.computed - before.computed < seconds / 2
        return starves or self.waited - before.waited > seconds / 2
