"""Where time goes, by stage: functions are timed from outside while a benchmark runs."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from inspect import ismethod
from typing import Any
from unittest import mock


class Stopwatch:
    """times: seconds within each stage, of one thread. Nested stages count for the inner one
    only."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def timed(self, owner: Any, name: str, stage: str) -> AbstractContextManager[Any]:
        """While it is entered, the function `name` of a module or a class counts as `stage`."""
        function = getattr(owner, name)

        def run(*given: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*given, **named)

        # A class method is bound already, and must not be given the class again.
        return mock.patch.object(owner, name, staticmethod(run) if ismethod(function) else run)

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.times[self._open[-1]] += now - self._since
        self._since = now
