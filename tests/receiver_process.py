"""A program of the tests that something is published to, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Process:
    """A receiver that can be killed."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / script), *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self.lines: list[str] = []

    def read(self) -> list[str]:
        """All lines so far."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            self.lines.append(line.decode())
        return self.lines

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
