"""Publishing by SRT: addresses, and GStreamer that receives: called, calling, killed, frozen."""

import asyncio
import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from camera_server import Http, add_camera, square, state
from own_processes import command_lines
from receiver_process import Process
from rtc_client import Flash, Tone, eventually
from rtsp_camera import HEIGHT, PYTHON, WIDTH
from test_publication_addresses import publish as refused
from test_publish import (
    ARTEFACTS,
    WAIT,
    begin_session,
    is_in_step,
    onsets,
    parsed,
    publication,
    publish_session,
    sent_more,
    session_until,
    share_of_square,
    until,
    write_noise,
)
from test_session_keys import bearer, served
from test_writer import encoded
from whip_client import Party

from stream import srt, srt_address
from stream.cli import main
from stream.egress import target
from stream.egress.publication import Failure, classify
from stream.egress.writer import Output
from stream.egress.writer_messages import Open, Picture
from stream.errors import InputError
from stream.server.gate import GATE
from stream.srt_address import SrtAddress

pytestmark = pytest.mark.slow

SECRET = "a-long-s3cret"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("srt://h:9000", SrtAddress("h", 9000)),
        ("SRT://10.0.0.5:9000/", SrtAddress("10.0.0.5", 9000)),
        ("srt://[fd00::5]:9000?mode=caller", SrtAddress("fd00::5", 9000)),
        ("srt://:9000?mode=listener", SrtAddress("", 9000, is_listener=True)),
        (
            "srt://h:9000?streamid=#!::r=live/a,m=publish&latency=200&pbkeylen=32&pkt_size=1000",
            SrtAddress("h", 9000, False, "#!::r=live/a,m=publish", "", 32, 200, 940),
        ),
        (
            "srt://h:9000?passphrase=a%26b+%C3%A4-and-more&payloadsize=1316&",
            SrtAddress("h", 9000, passphrase="a&b+ä-and-more"),
        ),
    ],
)
def test_addresses_that_are_taken(url: str, wanted: SrtAddress) -> None:
    assert srt_address.read(url) == wanted
    assert target.read(url, files=True).host == wanted.host


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("srt://h", "needs a port"),
        ("srt://h:0", "needs a port"),
        ("srt://h:99999", "port"),
        ("srt://[::1:9", "cannot be read"),
        ("srt://:9000", "names no host"),
        ("srt://h:9/live", "no path"),
        ("srt://user:passw0rd@h:9", "no user"),
        ("srt://h:9?mode=rendezvous", "caller, listener"),
        ("srt://h:9?latency=120000", "10000 milliseconds"),
        ("srt://h:9?latency=", "10000 milliseconds"),
        ("srt://h:9?latency=1e3", "10000 milliseconds"),
        ("srt://h:9?pbkeylen=17", "0, 16, 24, 32"),
        ("srt://h:9?pkt_size=1456", "between 188 and 1316"),
        ("srt://h:9?tlpktdrop=1", "known are mode, streamid, passphrase"),
        ("srt://h:9?passphrase=passw0rd", "10 to 79"),
        ("srt://h:9?passphrase=" + "passw0rd" * 10, "10 to 79"),
        ("srt://h:9?streamid=" + "a" * 513, "512"),
    ],
)
def test_addresses_that_are_refused(url: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as found:
        target.read(url, files=True)
    assert "passw0rd" not in str(found.value)


def test_a_port_to_wait_at_is_for_the_operator_only() -> None:
    with pytest.raises(InputError, match="command line"):
        target.read("srt://:9000?mode=listener", files=False)


async def test_what_is_missing_is_told(
    http: Http, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(srt, "LIBRARIES", ("libnothing.so.1",))
    srt.library.cache_clear()
    try:
        await add_camera(http, name="film", url=str(clip))
        given = {"url": "srt://h:9000"}
        async with http.post("/cameras/film/publications", json=given) as response:
            assert response.status == 400
            assert "apt-get install libsrt1.5-gnutls" in await response.text()
        async with http.post("/cameras", json={"name": "door", "url": "srt://h:9"}) as response:
            assert response.status == 400
            assert "apt-get install libsrt1.5-gnutls" in await response.text()
        for arguments in ([str(clip), "--publish", "srt://h:9"], ["srt://h:9"]):
            assert main(["camera", "add", "film", *arguments]) == 2
            assert "apt-get install libsrt1.5-gnutls" in capsys.readouterr().err
    finally:
        srt.library.cache_clear()


@pytest.mark.parametrize("reason", list(srt.Reason))
def test_every_reason_has_its_failure(reason: srt.Reason) -> None:
    assert classify(srt.SrtError(reason)) is Failure(str(reason))


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Receivers:
    """Starts tests/srt_receiver.py; all end with the test."""

    def __init__(self, folder: Path) -> None:
        self.picture = folder / "picture.i420"
        self._running: list[Process] = []

    async def start(self, url: str, *stream: str) -> Process:
        made = Process("srt_receiver.py", url, str(self.picture), *stream, python=PYTHON)
        self._running.append(made)
        await eventually(made.read)
        return made

    def kill(self, receiver: Process) -> None:
        self._running.remove(receiver)
        receiver.kill()

    def kill_all(self) -> None:
        for receiver in list(self._running):
            self.kill(receiver)

    def shown(self) -> np.ndarray:
        codes = np.fromfile(self.picture, np.uint8).reshape(HEIGHT * 3 // 2, WIDTH)
        return cv2.cvtColor(codes, cv2.COLOR_YUV2BGR_I420)


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    found = Receivers(tmp_path)
    yield found
    found.kill_all()


def is_right(picture: np.ndarray) -> bool:
    """The scene's yellow square on dark grey; BGR."""
    cv2.imwrite(str(ARTEFACTS / "published-srt.png"), picture)
    colour, ground = np.median(picture[square(picture)], axis=0), picture[:20].mean((0, 1))
    is_yellow = np.abs(colour - (60, 230, 230)).max() < 12
    is_dark = np.abs(ground - 40).max() < 8
    return bool(0.05 < share_of_square(picture) < 0.2 and is_yellow and is_dark)


async def test_gstreamer_is_called_killed_and_found_again(
    http: Http, clip: Path, receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    at = f"srt://127.0.0.1:{free_port()}"
    secrets = f"passphrase={SECRET}&pbkeylen=32"
    first = await receivers.start(f"{at}?mode=listener&{secrets}", "live/s3cret-name")
    url = f"{at}?streamid=live/s3cret-name&{secrets}&latency=80"
    await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
    found = await until(http, state="live")
    assert found["url"] == f"{at}?***"
    await eventually(lambda: len(parsed(first)) > 50, WAIT)
    times = [told["seconds"] for told in parsed(first)]
    assert np.median(np.diff(times)) == pytest.approx(1 / 30, abs=0.005)
    assert is_right(receivers.shown())
    others = [line for line in command_lines().values() if "srt_receiver.py" not in line]
    everything = json.dumps(await state(http, "film")) + caplog.text + "".join(others)
    assert "stream.egress.writer" in everything
    assert "s3cret" not in everything
    receivers.kill(first)
    began = time.monotonic()
    lost = await until(http, state="waiting")
    print(f"\nnoticed after {time.monotonic() - began:.1f} s")
    assert lost["failure"] in ("closed", "silent")
    second = await receivers.start(f"{at}?mode=listener&{secrets}", "live/s3cret-name")
    began = time.monotonic()
    await until(http, state="live")
    await eventually(lambda: len(parsed(second)) > 20, WAIT)
    print(f"\npictures again {time.monotonic() - began:.1f} s after the receiver")
    camera = await state(http, "film")
    assert (camera["state"], camera["reconnects"]) == ("live", 0), "nothing else suffers"


async def test_what_a_receiver_refuses(http: Http, clip: Path, receivers: Receivers) -> None:
    at = f"srt://127.0.0.1:{free_port()}"
    await receivers.start(f"{at}?mode=listener&passphrase={SECRET}", "live")
    await add_camera(http, name="film", url=str(clip), effect="none")
    for given, failure, told in (
        ("streamid=live&passphrase=another-s3cret", "credentials", "another there"),
        ("streamid=live", "credentials", "only one side"),
        (f"streamid=dead&passphrase={SECRET}", "refused", "reason"),
    ):
        url = f"{at}?{given}"
        async with http.post("/cameras/film/publications", json={"url": url}) as response:
            assert response.status == 201
            id = (await response.json())["id"]
        found = await until(http, failure=failure)
        assert told in found["reason"]
        assert found["sent"] == 0
        assert (await http.delete(f"/cameras/film/publications/{id}")).status == 204


async def test_nobody_there_is_told_and_tried_again(http: Http, clip: Path) -> None:
    url = f"srt://localhost:{free_port()}"
    await add_camera(http, name="film", url=str(clip), publish=[url])
    found = await until(http, failure="unreachable")
    assert "nothing answers" in found["reason"]
    await until(http, reconnects=2)


async def test_a_receiver_that_freezes_costs_pictures_and_holds_up_nobody(
    http: Http, tmp_path: Path, receivers: Receivers
) -> None:
    at = f"srt://127.0.0.1:{free_port()}"
    receiver = await receivers.start(f"{at}?mode=listener")
    noise = write_noise(tmp_path / "noise.mp4")
    await add_camera(http, name="film", url=str(noise), effect="none", publish=[at])
    await until(http, state="live")
    await sent_more(http)
    viewer = Party(watches=("video",))
    await viewer.begin(http, "/whep/camera/film")
    await viewer.until(lambda: viewer.pictures)
    before = await publication(http)
    receiver.freeze()
    try:
        await dropped_more(http, 10)
        seen = len(viewer.arrivals["video"])
        await viewer.until(lambda: len(viewer.arrivals["video"]) > seen + 30)
        lost = await until(http, state="waiting")
        assert lost["failure"] in ("silent", "closed")
        assert lost["sent"] - before["sent"] < 90, "what was sent waits somewhere"
    finally:
        receiver.thaw()
    await until(http, state="live")
    await viewer.close()


async def dropped_more(http: Http, pictures: int) -> None:
    before = (await publication(http))["dropped"]
    for _ in range(int(WAIT / 0.05)):
        if (await publication(http))["dropped"] >= before + pictures:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {pictures} more: {await publication(http)}")


@pytest.mark.parametrize("host", ["[::1]", ""])
async def test_gstreamer_calls_at_every_kind_of_address(
    http: Http, clip: Path, receivers: Receivers, host: str
) -> None:
    port = free_port()
    url = f"srt://{host}:{port}?mode=listener"
    await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
    first = await receivers.start(f"srt://{host or '127.0.0.1'}:{port}?mode=caller")
    await eventually(lambda: len(parsed(first)) > 20, WAIT)
    assert is_right(receivers.shown())


async def test_gstreamer_calls_leaves_and_calls_again(
    http: Http, clip: Path, receivers: Receivers
) -> None:
    port = free_port()
    url = f"srt://127.0.0.1:{port}?mode=listener&passphrase={SECRET}"
    caller = f"srt://127.0.0.1:{port}?mode=caller&passphrase={SECRET}"
    await add_camera(http, name="film", url=str(clip), effect="none", publish=[url])
    await asyncio.sleep(1)
    waiting = await publication(http)
    assert (waiting["state"], waiting["sent"], waiting["reconnects"]) == ("connecting", 0, 0)
    first = await receivers.start(caller)
    await eventually(lambda: len(parsed(first)) > 20, WAIT)
    assert is_right(receivers.shown())
    receivers.kill(first)
    assert (await until(http, state="waiting"))["failure"] == "left"
    second = await receivers.start(caller)
    await eventually(lambda: len(parsed(second)) > 20, WAIT)
    assert (await publication(http))["state"] == "live"


async def test_a_port_that_is_taken_is_told(http: Http, clip: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"srt://127.0.0.1:{port}?mode=listener"
        await add_camera(http, name="film", url=str(clip), publish=[url])
        found = await until(http, failure="unreachable")
        assert "in use" in found["reason"]


async def test_sound_goes_along_in_step(http: Http, receivers: Receivers) -> None:
    at = f"srt://127.0.0.1:{free_port()}"
    receiver = await receivers.start(f"{at}?mode=listener")
    tone = Tone()
    source = await begin_session(http, Flash(tone), tone)
    try:
        await eventually(lambda: tone.sent > 30)
        await publish_session(http, at)
        assert (await session_until(http, state="live"))["sound"]
        await is_in_step(receiver)
        flashes = [one["at"] for one in parsed(receiver) if one.get("brightness", 0) > 120]
        late = [(at - tone.began) % 1 for at in onsets(flashes)]
        print(f"\na flash is decoded {np.median(late) * 1e3:.0f} ms after it was made")
    finally:
        await source.close()


async def test_who_called_hears_the_sound_that_begins_later(
    http: Http, receivers: Receivers
) -> None:
    at = f"srt://127.0.0.1:{free_port()}"
    tone = Tone()
    tone.playing.clear()
    source = await begin_session(http, Flash(tone), tone)
    try:
        await publish_session(http, f"{at}?mode=listener")
        receiver = await receivers.start(f"{at}?mode=caller")
        await eventually(lambda: sum("size" in told for told in parsed(receiver)) > 60, WAIT)
        assert not (await session_until(http, state="live"))["sound"]
        times = [told["sound"] for told in parsed(receiver) if "sound" in told]
        # GStreamer moves them a little, to its own clock.
        assert np.diff(times) == pytest.approx(1024 / 48_000, abs=0.008)
        assert np.median(np.diff(times)) == pytest.approx(1024 / 48_000, abs=0.001)
        assert not any(told.get("loud") for told in parsed(receiver))
        tone.playing.set()
        await is_in_step(receiver)
        found = await session_until(http, state="live")
        assert (found["sound"], found["reconnects"]) == (True, 0)
    finally:
        await source.close()


class Kept:
    """Stands for a connection: what was sent."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def close(self) -> None:
        self.closed = True


def test_key_frames_tell_their_parameters_and_another_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever begins to watch can decode from any of them (ITU-T H.222.0, 2.14)."""
    kept = Kept()
    monkeypatch.setattr(srt, "connect", lambda _: kept)
    output = Output(Open("srt://h:9000", target.Kind.SRT))
    pictures = encoded([(64, 48)] * 5 + [(128, 96)] * 5)
    for index, made in enumerate(pictures):
        assert output.write(Picture(len(made.data), index * 3000, made.keyframe), made.data)
        if index == 4:
            half = len(kept.data)
    output.close()
    assert kept.closed
    assert len(kept.data) % srt_address.TS_PACKET == 0
    sizes = [(64, 48)] * 5 + [(128, 96)] * 5
    for data, wanted in ((kept.data, sizes), (kept.data[half:], sizes[5:])):
        with av.open(io.BytesIO(data), format="mpegts") as file:
            assert [(shown.width, shown.height) for shown in file.decode(video=0)] == wanted


async def test_a_key_publishes_to_no_inner_address_and_opens_no_port(tmp_path: Path) -> None:
    async with served(tmp_path, session_keys="all", token="t0ken", camera_files=True) as http:
        stranger, operator = bearer(http.app[GATE].keys.create("k")), bearer("t0ken")
        party = Party(Flash(Tone()))
        try:
            await party.begin(http, "/whip?session=studio", **stranger)
            found = await refused(http, f"srt://127.0.0.1:{free_port()}", stranger)
            assert (found["state"], found["failure"]) == ("failed", "forbidden")
            for url in (f"srt://:{free_port()}?mode=listener", "v4l2:///dev/video999"):
                told = []
                for headers in (stranger, operator):
                    path = "/sessions/studio/publications"
                    async with http.post(path, json={"url": url}, headers=headers) as response:
                        told.append((response.status, await response.text()))
                assert told[0][0] == 400
                assert "command line only" in told[0][1]
                assert "command line only" not in told[1][1]
        finally:
            await party.close()
