"""What the program takes before anybody calls: memory, disk, and the time to start.

    python -m benchmarks.footprint --json [--quick]

`segstream serve` as it comes, started five times (--quick: once); medians. start_s: until it says
that it is ready. server_mib, worker_mib: resident memory SETTLED seconds later. disk_mib: of the
package and all that it requires, without its extras, pip and Python itself.
"""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib import metadata
from pathlib import Path

from benchmarks import machine
from benchmarks.camera_soak import held
from benchmarks.overload import descendants
from tests.rtsp_camera import free_port

STARTS, QUICK_STARTS = 5, 1
START_TIMEOUT = 60.0
SETTLED = 3.0


def required(name: str) -> set[str]:
    """The distribution and all that it requires here, whatever it requires for extras left out."""
    found: set[str] = set()
    todo = [name]
    while todo:
        one = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if one in found:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):  # not for this system
            wanted = metadata.requires(one) or []
            found.add(one)
            todo += [
                re.split(r"[^\w.-]", text, maxsplit=1)[0]
                for text in wanted
                if "extra ==" not in text
            ]
    return found


def on_disk(distribution: str) -> int:
    """Bytes of its files."""
    files = metadata.files(distribution) or []
    return sum(Path(str(file.locate())).stat().st_size for file in files if file.locate().is_file())


def package() -> int:
    """Bytes of our own, which an editable installation does not list; not the weights for torch."""
    files = (machine.REPOSITORY / "stream").rglob("*.*")
    return sum(path.stat().st_size for path in files if path.suffix != ".pt")


def start() -> tuple[float, float, float]:
    """Seconds, and MiB of the server and of its worker. Raises RuntimeError."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        kept = {"SEGSTREAM_CAMERAS": f"{folder}/cameras.json", "SEGSTREAM_DATA": f"{folder}/data"}
        began = time.monotonic()
        server = subprocess.Popen(
            [sys.executable, "-m", "stream.cli", "serve", "--port", str(port)],
            env={**os.environ, **kept},
        )
        try:
            while not is_ready(port):
                if server.poll() is not None or time.monotonic() - began > START_TIMEOUT:
                    raise RuntimeError("the server did not start")
                time.sleep(0.02)
            taken = time.monotonic() - began
            time.sleep(SETTLED)
            others = [process for process in descendants(server.pid) if process != server.pid]
            return taken, held([server.pid]).mib, held(others).mib
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()


def is_ready(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
    except OSError:
        return False
    return True


def main() -> int:
    given = machine.parser(__doc__).parse_args()
    starts = [start() for _ in range(QUICK_STARTS if given.quick else STARTS)]
    taken, server, worker = (statistics.median(values) for values in zip(*starts, strict=True))
    others = required("segstream") - {"segstream"}
    result = {
        "start_s": round(taken, 2),
        "server_mib": round(server, 1),
        "worker_mib": round(worker, 1),
        "disk_mib": round((package() + sum(map(on_disk, others))) / 2**20),
    }
    if given.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:10} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
