"""A program of the tests that something is published to, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Process:
    """A receiver that can be killed."""

    def __init__(self, script: str, *arguments: str, python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, str(ROOT / "tests" / script), *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.lines: list[str] = []
        self._begun = b""

    def read(self) -> list[str]:
        """All lines so far."""
        assert self._process.stdout is not None
        *lines, self._begun = (self._begun + (self._process.stdout.read() or b"")).split(b"\n")
        self.lines += [line.decode() for line in lines]
        return self.lines

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
