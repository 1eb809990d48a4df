"""For all tests: torch on one thread, set before anything imports it, a folder of data; and what
several files' tests are made with.

Torch's threads wait in a spin, which on a busy machine costs everybody dearly.
"""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from camera_server import Http
    from rtsp_camera import Camera
    from session_stage import Stage
    from supervisor_bench import Bench

    from stream.settings import Settings

os.environ["OMP_NUM_THREADS"] = "1"
# Not the cameras of who runs the tests.
os.environ["XDG_CONFIG_HOME"] = f"{tempfile.gettempdir()}/segstream-tests-{os.getpid()}"

os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="segstream-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)

# Begun with nohup or in the background the tests ignore these, and programs that they start would
# too: that is inherited, while what is caught is not.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: no process is left alone with one in the end.
    Browser tests last: Playwright's event loop stays in the thread that asyncio tests need."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: ("e2e" in item.path.parts, item.path not in slow))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of video, to be a camera."""
    from rtsp_camera import write_clip

    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture
def settings(tmp_path: Path) -> "Settings":
    """Of a server whose cameras may be files, and are recorded."""
    from stream.settings import Settings

    kept = tmp_path / "settings" / "cameras.json"
    return Settings(cameras=kept, camera_files=True, record=tmp_path / "recordings")


@pytest.fixture
async def http(settings: "Settings") -> "AsyncIterator[Http]":
    """That server."""
    from camera_server import serving

    async with serving(settings) as client:
        yield client


@pytest.fixture
def recorder(tmp_path: Path) -> "Iterator[Camera]":
    """GStreamer's RTSP server, which takes RECORD."""
    from rtsp_camera import Camera, missing

    assert not missing(), missing()
    recorder = Camera(tmp_path)
    recorder.start()
    yield recorder
    recorder.kill()


@pytest.fixture
def patched() -> None:
    """aiortc and aioice as the server changes them."""
    from stream.server import patches

    patches.apply()


@pytest.fixture
async def stage() -> "AsyncIterator[Stage]":
    """A session without network."""
    from session_stage import staged

    async with staged() as stage:
        yield stage


@pytest.fixture
def bench() -> "Iterator[Bench]":
    """A supervisor whose workers are threads."""
    from supervisor_bench import Bench, worker_threads

    bench = Bench()
    yield bench
    for tracker in bench.trackers:
        tracker.gate.set()
    bench.supervisor.stop()
    bench.until(lambda: not worker_threads())
