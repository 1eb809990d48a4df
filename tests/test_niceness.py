"""How far a process steps back, as the kernel sees it."""

import os
import subprocess
import sys
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
