"""Glass to glass: how old is the picture that comes back?

    python -m benchmarks.latency --json [--quick] [--only NAME ...]

Chromium draws a time code into a canvas 30 times a second, sends the canvas, and reads the code
back from the video that returns. In one run, for each size and codec:

ours: `segstream serve` as it comes, an object tracked by the embedded model and the background
blurred. echo: aiortc as it comes, which sends back what it receives. direct: from one connection
of the browser to another, no server. All three begin with the same bitrate, the browser keeps the
resolution and buffers nothing.

p50, p95, p99: milliseconds; fps: pictures seen a second; cpu: percent of one core that our process
(or the echo's) and its worker use, by stage; 0 for direct. Chromium runs on the same cores.
"""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from benchmarks import machine

SECONDS, QUICK_SECONDS = 20.0, 7.0
WARM = 4.0
"""Until bitrates have settled and the model has warmed up."""

START_TIMEOUT = 60.0
PAGE = Path(__file__).with_name("latency_page.html")
SIZES = {"480p": (640, 480), "720p": (1280, 720)}
CODECS = {"vp8": "VP8", "h264": "H264"}
PATHS = ("ours", "echo", "direct")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


class Server:
    """One of benchmarks.latency_servers."""

    def __init__(self, which: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.latency_servers", which, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Server":
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"http://localhost:{self.port}/healthz", timeout=2).close()
            except urllib.error.HTTPError:
                return self
            except OSError:
                time.sleep(0.2)
            else:
                return self
        self.__exit__(None, None, None)
        raise RuntimeError("a server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def cpu(self) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):  # aiohttp greets on standard output
            line = self._process.stdout.readline()
        used: dict[str, float] = json.loads(line)
        return used


def main() -> None:
    options = machine.parser(__doc__)
    options.add_argument("--only", nargs="*", default=[], help="paths, sizes or codecs")
    options.add_argument("--verbose", action="store_true", help="the browser's own statistics")
    arguments = options.parse_args()
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    results: dict[str, Any] = {path: {} for path in PATHS}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium found; install it, on Debian and Ubuntu: apt-get install chromium")
    with Server("ours") as ours, Server("echo") as echo, sync_playwright() as playwright:
        for size in SIZES:
            for codec in CODECS:
                for path in PATHS:
                    wanted = arguments.only
                    if wanted and not {path, size, codec} >= set(wanted):
                        continue
                    browser = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
                    server = ours if path == "ours" else echo
                    figures = _measure(browser, server, path, size, codec, seconds)
                    browser.close()
                    details = figures.pop("details")
                    results[path][f"{size}-{codec}"] = figures
                    print(f"{path} {size}-{codec}: {figures}", file=sys.stderr)
                    if arguments.verbose:
                        print(f"  {details}", file=sys.stderr)
    machine.print_json(results)


def _measure(
    browser: Browser, server: Server, path: str, size: str, codec: str, seconds: float
) -> dict[str, Any]:
    page = browser.new_page()
    page.route(
        "**/latency", lambda route: route.fulfill(body=PAGE.read_text(), content_type="text/html")
    )
    page.goto(f"http://localhost:{server.port}/latency")
    width, height = SIZES[size]
    wanted = {
        "path": "direct" if path == "direct" else "server",
        "codec": CODECS[codec],
        "width": width,
        "height": height,
        "effects": path == "ours",
    }
    page.evaluate("wanted => run(wanted)", wanted)
    page.wait_for_timeout(WARM * 1000)
    before = server.cpu()
    seen = page.evaluate("ms => measure(ms)", seconds * 1000)
    after = server.cpu()
    page.evaluate("end()")
    delays = seen.pop("samples")
    if seen["width"] != width:
        print(f"{path} {size}-{codec}: returned {seen['width']} wide", file=sys.stderr)
    if len(delays) < 10:
        raise RuntimeError(f"{path} {size}-{codec}: nothing could be read, {seen}")
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    cpu = {
        stage: max(round(100 * (after[stage] - before.get(stage, 0)) / seconds, 1), 0.0)
        for stage in after
    }
    figures: dict[str, Any] = {
        "p50": round(cuts[49]),
        "p95": round(cuts[94]),
        "p99": round(cuts[98]),
    }
    figures["fps"] = round(len(delays) / seconds, 1)
    figures["unread"] = seen["unread"]
    figures["cpu"] = 0 if path == "direct" else {**cpu, "all": round(sum(cpu.values()), 1)}
    figures["details"] = seen
    return figures


if __name__ == "__main__":
    main()
