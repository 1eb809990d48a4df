"""What a job's process and the server tell each other: one JSON object a line.

The process reads its orders from standard input, which stays open as long as the server lives, and
later how fast it may go ({"rate"}, stream.jobs.pace); when the input ends, so does the process. It
reports on standard output.
"""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from stream.errors import InputError, LimitError, SegstreamError
from stream.jobs.pace import Pace

OK, BROKEN, REFUSED = 0, 1, 2
"""Exit codes: done, a fault of the program, and an error that was reported."""


class Reports:
    """Takes standard output over, so that a library's print does not get between.

    pace: how fast the server lets the process go.
    """

    def __init__(self) -> None:
        self.pace = Pace()
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def say(self, **report: Any) -> None:
        self._file.write(json.dumps(report) + "\n")


def main(work: Callable[[dict[str, Any], Reports], None]) -> NoReturn:
    """Do `work` with the orders; its SegstreamError is reported.

    Then the process ends at once. To take a network's libraries down first would take seconds of a
    machine that is busy, in which what is done looked as if it hung.
    """
    reports = Reports()
    try:
        code = _main(work, reports)
    except BaseException:
        traceback.print_exc()
        code = BROKEN
    sys.stderr.flush()
    os._exit(code)


def _main(work: Callable[[dict[str, Any], Reports], None], reports: Reports) -> int:
    orders = json.loads(sys.stdin.readline())
    threading.Thread(target=_hear_the_server, args=(reports.pace,), daemon=True).start()
    try:
        work(orders, reports)
    except SegstreamError as error:
        reports.say(error={"code": error.code, "message": str(error), "status": status(error)})
        return REFUSED
    except MemoryError:
        message = "the video needs more memory than a job may use"
        reports.say(error={"code": "limit", "message": message, "status": 413})
        return REFUSED
    return OK


def status(error: SegstreamError) -> int:
    """The HTTP status of what a video, rather than its request, made impossible."""
    if isinstance(error, InputError):
        return 422
    return 413 if isinstance(error, LimitError) else 500


def _hear_the_server(pace: Pace) -> None:
    """Until it ends, and the process with it."""
    for line in sys.stdin:
        pace.set(json.loads(line)["rate"])
    os._exit(BROKEN)
