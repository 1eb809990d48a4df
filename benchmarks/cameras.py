"""Cameras over RTSP: how soon the first picture is there, and how soon trouble is noticed.

    python -m benchmarks.cameras --json [--quick]

`segstream serve` reads GStreamer's RTSP server, which is the camera of the tests and is killed,
frozen and started again. first_ms: from connecting to the first decoded picture, by codec and
transport. noticed_s: from the trouble until the API says so; back_s: from the camera's being there
again until its pictures are, which waits for the next try, at most 30 s apart.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from tests.rtsp_camera import Camera, free_port, missing, write_streams

CODECS, TRANSPORTS = ("h264", "h265", "mjpeg"), ("tcp", "udp")
COUNT, QUICK_COUNT = 10, 2
LOOK = 0.02
"""Seconds between two looks at a camera's state."""

WAIT = 90.0

State = dict[str, Any]


class Server:
    """The API of a server of its own. Raises RuntimeError when something does not come."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, given: State | None = None) -> Any:
        data = None if given is None else json.dumps(given).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            body = response.read()
        return json.loads(body) if body[:1] == b"{" else None

    def until(self, name: str, check: Callable[[State], object]) -> State:
        """The camera's state once the check holds."""
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            state: State = self.ask("GET", f"cameras/{name}")
            if check(state):
                return state
            time.sleep(LOOK)
        raise RuntimeError(f"camera {name} stays {state['state']}: {state['reason']}")

    def live(self, name: str) -> State:
        return self.until(name, lambda state: state["state"] == "live")


def main() -> None:
    options = machine.parser(__doc__)
    arguments = options.parse_args()
    count = QUICK_COUNT if arguments.quick else COUNT
    if lacking := missing():
        sys.exit(f"{lacking}; install it as tests/browser.sh does")
    with tempfile.TemporaryDirectory() as folder, _serve(Path(folder)) as server:
        camera = Camera(write_streams(Path(folder)))
        camera.start()
        try:
            results: dict[str, Any] = {"first_ms": _first(server, camera, count)}
            results["trouble"] = {
                "killed": _trouble(server, camera, camera.kill, camera.start, count),
                "frozen": _trouble(server, camera, camera.freeze, camera.thaw, count),
            }
        finally:
            camera.kill()
    machine.print_json(results)


@contextlib.contextmanager
def _serve(folder: Path) -> Iterator[Server]:
    port = free_port()
    environment = {
        **os.environ,
        "SEGSTREAM_CAMERAS": str(folder / "cameras.json"),
        "SEGSTREAM_DATA": str(folder / "data"),
    }
    command = [sys.executable, "-m", "stream.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    server, deadline = Server(port), time.monotonic() + WAIT
    try:
        while True:
            try:
                server.ask("GET", "healthz")
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the server did not start") from error
                time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _first(server: Server, camera: Camera, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for codec in CODECS:
        for transport in TRANSPORTS:
            times = []
            for _ in range(count):
                wanted = {"name": "first", "url": camera.url(codec), "transport": transport}
                server.ask("POST", "cameras", {**wanted, "effect": "none"})
                times.append(1000 * server.live("first")["connect_time"])
                server.ask("DELETE", "cameras/first")
            found[f"{codec}-{transport}"] = _summary(times, 0)
            print(f"{codec} {transport}: {found[f'{codec}-{transport}']} ms", file=sys.stderr)
    return found


def _trouble(
    server: Server,
    camera: Camera,
    begin: Callable[[], None],
    end: Callable[[], None],
    count: int,
) -> dict[str, Any]:
    noticed, back = [], []
    for _ in range(count):
        server.ask("POST", "cameras", {"name": "door", "url": camera.url("h264")})
        server.live("door")
        begin()
        began = time.monotonic()
        server.until("door", lambda state: state["state"] != "live")
        noticed.append(time.monotonic() - began)
        server.until("door", lambda state: state["failure"])
        end()
        began = time.monotonic()
        server.live("door")
        back.append(time.monotonic() - began)
        server.ask("DELETE", "cameras/door")
    found = {"noticed_s": _summary(noticed, 2), "back_s": _summary(back, 2)}
    print(f"{begin.__name__}: {found}", file=sys.stderr)
    return found


def _summary(values: list[float], digits: int) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "worst": round(max(values), digits),
    }


if __name__ == "__main__":
    main()
