"""Letting other processes go first, in a way that Linux heeds."""

import contextlib
import errno
import os
import time
from pathlib import Path

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


def kept_waiting(process: int | None) -> float:
    """Seconds for which threads of a process wanted to compute and others did, since it began,
    all together; 0 where the kernel does not say, or when it has ended or not begun."""
    nanoseconds = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
                nanoseconds += int((task / "schedstat").read_text().split()[1])
    return nanoseconds / 1e9
