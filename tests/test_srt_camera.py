"""Cameras by SRT: GStreamer plays a film to whoever calls."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, until
from receiver_process import Process
from rtc_client import eventually
from rtsp_camera import PYTHON, write_talk
from test_srt import free_port
from whip_client import Party

from stream import srt
from stream.errors import InputError
from stream.ingest import address
from stream.ingest.address import Kind
from stream.ingest.source import Failure, classify

SECRET = "a-long-s3cret"


def test_addresses() -> None:
    url = f"srt://h:9000?streamid=read:door&passphrase={SECRET}"
    found = address.read(url, files=False)
    assert (found.kind, found.url, found.shown) == (Kind.SRT, url, "srt://h:9000?***")
    for text, told in (
        ("srt://h", "needs a port"),
        ("srt://:9000?mode=listener", "is called"),
        ("srt://h:9000?passphrase=short", "10 to 79"),
    ):
        with pytest.raises(InputError, match=told):
            address.read(text, files=True)


@pytest.mark.parametrize("reason", list(srt.Reason))
def test_every_reason_has_its_failure(reason: srt.Reason) -> None:
    others = {"refused": Failure.NOT_FOUND, "left": Failure.CLOSED}
    wanted = others[reason] if reason in others else Failure(str(reason))
    assert classify(srt.SrtError(reason)) is wanted


class Sender:
    """A film, in an endless row of senders that are killed."""

    def __init__(self, film: Path) -> None:
        self.port = free_port()
        self._film = film
        self._process: Process | None = None

    async def start(self) -> None:
        url = f"srt://127.0.0.1:{self.port}?mode=listener&passphrase={SECRET}"
        self._process = Process("srt_camera.py", url, str(self._film), python=PYTHON)
        await eventually(self._process.read)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    write_talk(tmp_path / "talk.mp4")
    found = Sender(tmp_path / "talk.mp4")
    yield found
    found.kill()


async def test_it_is_seen_and_heard_killed_and_found_again(http: Http, sender: Sender) -> None:
    await sender.start()
    url = f"srt://127.0.0.1:{sender.port}?passphrase={SECRET}&latency=60"
    await add_camera(http, name="door", url=url, effect="none")
    found = await until(http, "door", state="live")
    assert found["url"] == f"srt://127.0.0.1:{sender.port}?***"
    viewer = Party(watches=("video", "audio"))
    await viewer.begin(http, "/whep/camera/door")
    await viewer.until(lambda: len(viewer.pictures) > 20 and len(viewer.sounds) > 40)
    await viewer.close()
    async with http.get("/cameras/door/snapshot.jpg") as response:
        shown = cv2.imdecode(np.frombuffer(await response.read(), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.std() < 12, "all dark, or all white"
    sender.kill()
    lost = await until(http, "door", state="waiting")
    assert lost["failure"] in ("silent", "closed")
    await sender.start()
    again = await until(http, "door", state="live")
    assert again["reconnects"] >= 1


async def test_a_wrong_passphrase_is_told(http: Http, sender: Sender) -> None:
    await sender.start()
    url = f"srt://127.0.0.1:{sender.port}?passphrase=another-s3cret"
    await add_camera(http, name="door", url=url)
    found = await until(http, "door", failure="credentials")
    assert found["state"] == "failed"
    assert "another there" in found["reason"]


async def test_nobody_there_is_told(http: Http) -> None:
    await add_camera(http, name="door", url=f"srt://127.0.0.1:{free_port()}")
    found = await until(http, "door", failure="unreachable")
    assert "nothing answers" in found["reason"]
