"""The virtual camera from end to end, with a library that stands for the driver."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, square
from rtc_client import eventually
from rtsp_camera import HEIGHT, WIDTH
from test_publish import ARTEFACTS, publication, until

from stream.egress import v4l2
from stream.egress.publication import Failure
from stream.egress.target import Target, read
from stream.egress.virtual_camera import CameraCarrier
from stream.server.cameras import CAMERAS

URL = "v4l2:///dev/video99"
SIZE = v4l2.image_size(WIDTH, HEIGHT)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that what is written to /dev/video99 goes to."""
    compiler = shutil.which("gcc")
    assert compiler, "no C compiler: apt-get install gcc linux-libc-dev"
    library, written = tmp_path / "fake.so", tmp_path / "written"
    source = Path(__file__).with_name("fake_v4l2.c")
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("FAKE_V4L2", str(written))
    monkeypatch.setattr(v4l2, "check", lambda _: None)  # this process has not loaded it
    return written


async def test_pictures_arrive_at_the_device(http: Http, clip: Path, device: Path) -> None:
    await add_camera(http, name="film", url=str(clip), effect="none", publish=[URL])
    found = await until(http, state="live")
    assert found["url"] == URL
    await eventually(lambda: device.stat().st_size >= 20 * SIZE)
    assert (await http.delete(f"/cameras/film/publications/{found['id']}")).status == 204
    formats = device.with_suffix(".formats").read_text()
    assert formats == f"2 {WIDTH}x{HEIGHT} YU12 {WIDTH} {SIZE}\n"
    data = np.fromfile(device, np.uint8)
    assert data.size % SIZE == 0
    last = data[-SIZE:].reshape(HEIGHT * 3 // 2, WIDTH)
    shown = cv2.cvtColor(last, cv2.COLOR_YUV2BGR_I420)
    cv2.imwrite(str(ARTEFACTS / "published-v4l2.png"), shown)
    assert 0.05 < square(shown).mean() < 0.2


async def test_a_device_that_is_gone_is_told(http: Http, clip: Path) -> None:
    await add_camera(http, name="film", url=str(clip))
    assert http.server is not None
    session = http.server.app[CAMERAS].get("film").session  # type: ignore[attr-defined]
    target: Target = read(URL, files=True)
    carrier = CameraCarrier(target, session)
    async with asyncio.timeout(30):
        failure, detail = await carrier.carry(lambda: None)
    assert failure is Failure.UNSUPPORTED
    assert "modprobe v4l2loopback" in detail
    assert (carrier.sent, len(session._viewers)) == (0, 0)


async def test_one_that_is_not_there_is_shown_where_it_was_configured(
    http: Http, clip: Path
) -> None:
    async with http.post("/cameras", json={"name": "a", "url": str(clip), "publish": [URL]}) as r:
        assert r.status == 400
        assert "modprobe" in await r.text()
    await add_camera(http, name="film", url=str(clip), publish=["rtsp://127.0.0.1:1/x"])
    assert (await publication(http))["state"] in ("connecting", "waiting")
