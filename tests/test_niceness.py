"""How far a process steps back, as the kernel sees it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream import niceness

SCRIPT = """
import os
from pathlib import Path
from stream.niceness import AUTOGROUP, step_back
step_back(7)
group = AUTOGROUP.read_text().split()[-1] if AUTOGROUP.exists() else "7"
print(os.nice(0), os.getsid(0) == os.getpid(), group)
"""


def test_a_process_and_its_group_step_back_and_no_other() -> None:
    session, before = os.getsid(0), os.nice(0)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, timeout=60
    )
    assert said.stdout.split() == [str(before + 7), "True", "7"], said.stderr
    assert (os.getsid(0), os.nice(0)) == (session, before)


def test_a_kernel_that_wants_a_pause_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Group:
        def write_text(self, text: str) -> None:
            asked.append(text)
            if len(asked) < 3:
                raise BlockingIOError(11, "try again")

    monkeypatch.setattr(niceness, "AUTOGROUP", Group())
    monkeypatch.setattr(niceness, "PAUSE", 0.0)
    niceness._set_group(5)
    assert asked == ["5"] * 3


def test_who_is_kept_waiting_is_told_from_who_stands_still() -> None:
    """Two that share one core, of which one is stopped then."""
    core = min(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    pair = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    try:
        first, second = (process.pid for process in pair)
        end = time.monotonic() + 30
        while niceness.kept_waiting(first) < 0.2 and time.monotonic() < end:
            time.sleep(0.05)
        assert niceness.kept_waiting(first) >= 0.2
        os.kill(second, signal.SIGSTOP)
        time.sleep(0.1)
        before = niceness.kept_waiting(second)
        time.sleep(0.5)
        assert niceness.kept_waiting(second) == before
    finally:
        for process in pair:
            process.kill()
            process.wait()
    assert niceness.kept_waiting(first) == 0
