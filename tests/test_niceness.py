"""How far a process steps back, as the kernel sees it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream import niceness
from stream.niceness import Turns

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


@pytest.mark.parametrize("policy", [os.SCHED_OTHER, os.SCHED_IDLE])
def test_who_is_kept_waiting_is_told_from_who_stands_still(policy: int) -> None:
    """Beside two that compute on the same core; one of the policy IDLE gets nearly no turn."""
    core = min(os.sched_getaffinity(0))
    spin = (
        f"import os, sys; os.sched_setaffinity(0, {{{core}}})\n"
        "os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(0))\n"
        "print(flush=True)\n"
        "while True: pass"
    )
    kinds = [os.SCHED_OTHER, os.SCHED_OTHER, policy]
    spinning = [
        subprocess.Popen([sys.executable, "-c", spin, str(kind)], stdout=subprocess.PIPE)
        for kind in kinds
    ]
    pid = spinning[-1].pid

    def is_kept_waiting() -> bool:
        before = Turns.of(pid)
        time.sleep(0.5)
        return Turns.of(pid).kept_waiting(before, 0.5)

    try:
        for process in spinning:
            assert process.stdout is not None
            process.stdout.readline()
        assert any(is_kept_waiting() for _ in range(10))
        os.kill(pid, signal.SIGSTOP)
        assert not all(is_kept_waiting() for _ in range(10))
    finally:
        for process in spinning:
            process.kill()
            process.communicate(timeout=30)
    assert Turns.of(pid) == (0, 0, False)


def test_who_computes_in_an_endless_loop_is_not_kept_waiting() -> None:
    assert not Turns(5.0, 1.0, wants=True).kept_waiting(Turns(4.0, 1.0, wants=True), 1.0)
    assert Turns(4.1, 1.0, wants=True).kept_waiting(Turns(4.0, 1.0, wants=True), 1.0)
    assert not Turns(4.0, 1.0, wants=False).kept_waiting(Turns(4.0, 1.0, wants=False), 1.0)
