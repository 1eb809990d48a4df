"""Train the embedded model.

    python -m stream.training --data DIR --out DIR --hours H [--stage mixed]

It goes on from what is in --out, or else begins from the weights in the repository. Every run is
one stretch: the learning rate climbs, and falls to almost nothing when the hours are over.
"""

import argparse
import os
import sys
from pathlib import Path

ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 29),
    "MALLOC_ARENA_MAX": "2",
}
"""Without these glibc gives memory back after every operation, and the time goes into page
faults: many seconds a step instead of one. Read at the start of a process only."""


def main() -> int:
    if any(name not in os.environ for name in ALLOCATOR):
        command = [sys.executable, "-m", "stream.training", *sys.argv[1:]]
        os.execve(sys.executable, command, {**ALLOCATOR, **os.environ})
    from stream.training.checkpoint import NANO
    from stream.training.library import LibraryError
    from stream.training.loop import Options, Training
    from stream.training.schedule import DEFAULT, STAGES

    parser = argparse.ArgumentParser(description="Train the embedded model; go on where it was.")
    parser.add_argument("--data", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--out", type=Path, required=True, help="for checkpoints and the log")
    parser.add_argument("--hours", type=float, required=True, help="length of this stretch")
    parser.add_argument("--stage", choices=STAGES, default=DEFAULT)
    parser.add_argument("--init", type=Path, default=NANO, help="when --out is empty")
    parser.add_argument("--size", type=int, help="side of the input in pixels; default: --init's")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--full", action="store_true", help="float32 instead of bfloat16")
    parser.add_argument("--validate-minutes", type=float, default=15.0)
    parser.add_argument("--share", type=float, default=1.0, help="of the validation pictures")
    given = parser.parse_args()
    options = Options(
        given.data,
        given.out,
        given.hours,
        given.stage,
        given.init,
        given.size,
        given.threads,
        given.workers,
        not given.full,
        given.validate_minutes,
        given.share,
    )
    try:
        Training(options).run()
    except LibraryError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
