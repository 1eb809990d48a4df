"""For processes that the server starts: they must not outlive it."""

import os
import select
import sys
import threading
import time


def end_with_parent() -> None:
    """From now on end, even in the middle of a call that blocks, soon after whoever writes to
    standard input is gone; but not in one that keeps Python's lock."""
    threading.Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # errors and hang-ups are always told
    while not poll.poll(1000):
        pass
    time.sleep(1.0)  # what was asked for last may still be done
    os._exit(0)
