"""The real server, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARTEFACTS = ROOT / "tests" / "artefacts"
START_TIMEOUT = 90


class Server:
    """`segstream serve` in a process of its own."""

    def __init__(self, port, **environment):
        self.port = port
        # A page that is still open would hold up its end.
        self._environment = {**os.environ, "SEGSTREAM_DRAIN_SECONDS": "0", **environment}
        self.url = f"http://localhost:{port}"
        self.log = ARTEFACTS / f"server-{port}.log"
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        command = [sys.executable, "-m", "stream.cli", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env=self._environment
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"the server did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def post(self, path, given):
        """JSON to a path where something is made."""
        headers = {"Content-Type": "application/json"}
        data = json.dumps(given).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 201

    def stop(self, number=signal.SIGTERM):
        self._process.send_signal(number)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"the server did not end:\n{self.log.read_text()[-3000:]}")

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as response:
                return response.status == 200
        except OSError:
            return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
