"""Does anything grow? Thousands of frames through the worker process, with edits all the while.

    python -m benchmarks.soak --json [--quick] [--frames N]

Two sessions are tracked in one worker. Every so many frames an object is added, corrected, undone
or removed, or a session ends and another begins. Resident memory of both processes, open files
and threads are looked at between two frames, always with the same objects tracked. The network is
the one that SEGSTREAM_MODEL and SEGSTREAM_WEIGHTS name, nano by default.

server, worker: MiB of resident memory at the first look after the warm-up and at the last one, and
the growth a thousand frames of a straight line through all looks between them. A --quick run ends
while pools and caches still fill, by some MiB: it finds what grows fast, and errors.
"""

import os
import statistics
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from tqdm import tqdm

from benchmarks import machine
from benchmarks.davis import DATA, clips, read_picture
from stream.frames import Frame
from stream.messages import RemoveObject, Undo
from stream.prompts import Box, Point
from stream.settings import Settings
from stream.worker.launch import engine
from stream.worker.messages import AddPrompt, Command, Done, Report, Update
from stream.worker.supervisor import Supervisor

FRAMES, QUICK_FRAMES = 100_000, 4_000
WARM_SHARE = 0.2
"""Of the frames, before the first look that counts: pools and caches fill first."""

EDIT = 50
"""Frames of a session between two edits."""

LOOK = 4 * EDIT
"""Frames of a session between two looks at the memory: the fourth edit undoes the other three."""

RENEW = 1_000
"""Frames of a session after which a session ends and another begins."""

TIMEOUT = 60.0


@dataclass(slots=True)
class Live:
    """One session, driven frame by frame: the next one is sent when this one's masks are here."""

    supervisor: Supervisor
    name: str
    pictures: Sequence[av.VideoFrame]
    index: int = 0
    token: int = 0
    tracked: int = -1
    answered: int = -1
    errors: list[Exception] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def open(self) -> None:
        self.supervisor.open(self.name, self._hear)
        self._say(AddPrompt(Box(1, 200, 100, 500, 400), new=True))
        self.advance()

    def close(self) -> None:
        self.supervisor.close(self.name)

    def advance(self) -> None:
        """Send the next frame and wait until it was tracked."""
        picture = self.pictures[self.index % len(self.pictures)]
        frame = Frame(picture, self.index, self.index, Fraction(1, 30), float(self.index + 1))
        self.supervisor.submit(self.name, frame)
        with self.changed:
            if not self.changed.wait_for(lambda: self.tracked >= self.index, TIMEOUT):
                raise TimeoutError(f"frame {self.index} was not tracked within {TIMEOUT:g} s")
        self.index += 1

    def edit(self, turn: int) -> None:
        """Of four turns the last leaves the session as the first found it."""
        commands: list[Command] = [
            AddPrompt(Point(2, 150, 150), new=True),
            AddPrompt(Point(1, 350, 250), new=False),
            Undo(),
            RemoveObject(2),
        ]
        self._say(commands[turn % 4])

    def _say(self, command: Command) -> None:
        self.token += 1
        self.supervisor.command(self.name, self.token, command)

    def _hear(self, report: Report) -> None:
        with self.changed:
            if isinstance(report, Update) and report.masks is not None:
                self.tracked = report.masks.index
            elif isinstance(report, Done) and report.error is not None:
                self.errors.append(report.error)
            self.changed.notify_all()


@dataclass(frozen=True, slots=True)
class Look:
    """What both processes held after so many frames. server, worker: bytes."""

    frames: int
    server: int
    worker: int
    files: int
    threads: int


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--frames", type=int, help=f"default {FRAMES}, with --quick {QUICK_FRAMES}")
    given = parser.parse_args()
    frames = given.frames or (QUICK_FRAMES if given.quick else FRAMES)
    result = soak(frames)
    if given.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:16} {value}")
    return 0


def soak(frames: int) -> dict[str, Any]:
    supervisor = Supervisor(engine(Settings.from_environment()), min_rate=0)
    supervisor.start()
    looks: list[Look] = []
    lives: list[Live] = []
    errors: list[Exception] = []
    try:
        lives = [Live(supervisor, name, _pictures(name)) for name in ("dog", "blackswan")]
        for live in lives:
            live.open()
        with tqdm(total=frames, unit="frame", file=sys.stderr) as bar:
            for count in range(0, frames, len(lives)):
                for live in lives:
                    live.advance()
                step = count // len(lives)
                if step % EDIT == EDIT - 1:
                    lives[0].edit(step // EDIT)
                if step % RENEW == RENEW - 1:
                    errors += lives[1].errors
                    lives[1] = _renewed(lives[1], f"session {count}")
                if step % LOOK == LOOK - 1:
                    looks.append(_look(supervisor, count))
                bar.update(len(lives))
        looks.append(_look(supervisor, frames))
        errors += [error for live in lives for error in live.errors]
    finally:
        for live in lives:
            live.close()
        supervisor.stop()
    return {"frames": frames, "errors": [str(error) for error in errors], **_summary(looks)} | {
        "restarts": supervisor.restarts
    }


def _renewed(live: Live, name: str) -> Live:
    live.close()
    new = Live(live.supervisor, name, live.pictures)
    new.open()
    return new


def _pictures(name: str) -> list[av.VideoFrame]:
    """The clip to and fro, as a camera delivers it."""
    forth = [
        av.VideoFrame.from_ndarray(read_picture(path), "rgb24").reformat(format="yuv420p")
        for path in clips(DATA, [name])[0].pictures
    ]
    return forth + forth[-2:0:-1]


def _look(supervisor: Supervisor, frames: int) -> Look:
    pid = supervisor.worker_pid
    assert pid is not None
    files = len(os.listdir("/proc/self/fd"))
    return Look(frames, _resident(os.getpid()), _resident(pid), files, threading.active_count())


def _resident(pid: int) -> int:
    """Bytes of physical memory, Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _summary(looks: Sequence[Look]) -> dict[str, Any]:
    warm = [look for look in looks if look.frames >= WARM_SHARE * looks[-1].frames]
    frames = [look.frames for look in warm]
    found: dict[str, Any] = {}
    for process in ("server", "worker"):
        held = [getattr(look, process) for look in warm]
        slope = statistics.linear_regression(frames, held).slope if len(warm) > 1 else 0.0
        found[process] = {
            "first_mib": round(held[0] / 2**20, 1),
            "last_mib": round(held[-1] / 2**20, 1),
            "bytes_per_1000_frames": round(1000 * slope),
        }
    for name in ("files", "threads"):
        found[name] = [getattr(warm[0], name), getattr(warm[-1], name)]
    return found


if __name__ == "__main__":
    sys.exit(main())
