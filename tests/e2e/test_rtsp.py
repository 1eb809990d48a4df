"""Cameras over RTSP as an operator has them: GStreamer's server, the real program, a browser."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_processes import command_lines
from rtsp_camera import HEIGHT, WIDTH, Camera, missing, write_clip, write_streams
from running_server import ARTEFACTS, Server, free_port
from test_whip_clients import PIXELS, SHOWS, WATCH

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

WAIT = 40
"""Seconds in which a camera must be back; it is tried again within 30."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if lacking := missing():
        pytest.fail(f"{lacking}; install it as tests/browser.sh does")
    return write_streams(tmp_path_factory.mktemp("streams"))


@pytest.fixture
def camera(folder):
    camera = Camera(folder)
    camera.start()
    yield camera
    camera.kill()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The server with cameras of its own, and a folder for recordings."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    os.environ["SEGSTREAM_CAMERAS"] = str(home / "cameras.json")
    os.environ["SEGSTREAM_RECORD"] = str(home / "recordings")
    server = Server(free_port())
    try:
        server.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    server.home = home
    yield server
    server.stop()


@pytest.fixture
def api(program):
    api = Api(program)
    yield api
    for found in api.ask("GET", "cameras")["cameras"]:
        api.ask("DELETE", f"cameras/{found['name']}")


class Api:
    def __init__(self, program):
        self.url = program.url

    def ask(self, method, path, given=None):
        data = json.dumps(given).encode() if given is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            body = response.read()
        return json.loads(body) if body else None

    def add(self, name, url, **more):
        return self.ask("POST", "cameras", {"name": name, "url": url, **more})

    def until(self, name, check, wait=WAIT):
        """The camera's state once check(state) holds, and all states that were seen before."""
        seen, deadline = [], time.monotonic() + wait
        while time.monotonic() < deadline:
            found = self.ask("GET", f"cameras/{name}")
            if check(found):
                return found, seen
            seen.append(found)
            time.sleep(0.1)
        pytest.fail(f"never came: {found}")

    def live(self, name):
        return self.until(name, lambda found: found["state"] == "live")[0]

    def snapshot(self, name):
        with urllib.request.urlopen(
            f"{self.url}/cameras/{name}/snapshot.jpg", timeout=20
        ) as answer:
            data = answer.read()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        cv2.imwrite(str(ARTEFACTS / f"camera-{name}.png"), picture)
        return picture


def bright_share(picture):
    return float((cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) > 120).mean())


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("path", "codec"), [("h264", "h264"), ("h265", "hevc"), ("mjpeg", "mjpeg")]
)
def test_every_codec_over_both_transports(api, camera, path, codec, transport):
    api.add(path, camera.url(path), transport=transport, effect="none")
    found = api.live(path)
    assert (found["codec"], found["transport"]) == (path.replace("h265", "hevc"), transport)
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    share = bright_share(api.snapshot(path))
    assert 0.002 < share < 0.12, "the square, or GStreamer's ball"
    found, _ = api.until(path, lambda found: found["fps"] > 5)
    print(f"\n{path} {transport}: first picture after {found['connect_time']} s")
    assert found["clock_jumps"] == 0


def test_a_camera_that_refuses_tcp_is_read_over_udp(api, camera):
    api.add("udp", camera.url("udp"))
    assert api.live("udp")["transport"] == "udp"


def test_credentials(api, camera, program):
    api.add("wrong", camera.url("locked", "camera:wr0ng@"))
    found, _ = api.until("wrong", lambda found: found["state"] == "failed")
    assert found["failure"] == "credentials"
    assert "password" in found["reason"]
    assert found["retry_in"] > 20, "cameras lock accounts"
    api.add("right", camera.url("locked", "camera:s3cret@"))
    api.live("right")
    told = json.dumps(api.ask("GET", "cameras")) + program.log.read_text()
    assert not re.search("s3cret|wr0ng", told)
    others = "".join(command_lines(program.pid).values())
    assert "stream.ingest.reader" in others
    assert "s3cret" not in others, "nor can others see it in the list of processes"
    with pytest.raises(urllib.error.HTTPError) as refused:
        api.add("file", "/etc/passwd")
    assert refused.value.code == 400
    refused.value.close()


def test_a_killed_camera_is_noticed_and_read_again(api, camera):
    api.add("door", camera.url("h264"))
    api.live("door")
    camera.kill()
    began = time.monotonic()
    # On a busy machine it is seen to be frozen before anybody knows why.
    found, _ = api.until("door", lambda found: found["failure"])
    print(f"\nkilled: noticed after {time.monotonic() - began:.2f} s")
    assert found["failure"] in ("closed", "unreachable", "silent")
    api.until("door", lambda found: found["reconnects"] >= 3)
    camera.start()
    found = api.live("door")
    assert (found["failure"], found["reason"]) == (None, "")
    assert bright_share(api.snapshot("door")) > 0.05


def readers(server):
    """Processes that read cameras, by id."""
    lines = command_lines(server.pid)
    return [pid for pid, line in lines.items() if "stream.ingest.reader" in line]


def test_a_frozen_camera_is_noticed_and_keeps_nothing_and_nobody_waiting(
    api, camera, folder, program
):
    other = Camera(folder)
    other.start()
    try:
        api.add("frozen", camera.url("h264"), transport="tcp")
        api.add("other", other.url("h264"))
        api.live("frozen")
        api.live("other")
        camera.freeze()
        began = time.monotonic()
        api.until("frozen", lambda found: found["state"] == "frozen")
        print(f"\nfrozen: shown after {time.monotonic() - began:.2f} s", end="")
        found, _ = api.until("frozen", lambda found: found["reconnects"] > 0)
        print(f", given up after {time.monotonic() - began:.2f} s")
        assert found["failure"] == "silent"
        api.until("frozen", lambda found: found["reconnects"] > 1)  # nor does it answer now
        assert len(readers(program)) == 2, "one for each camera"
        assert api.live("other")["reconnects"] == 0
        assert api.until("other", lambda found: found["fps"] > 20)
        camera.thaw()
        api.live("frozen")
    finally:
        camera.thaw()
        other.kill()


def test_a_changed_codec_is_read_and_counted(api, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, name, codec in ((first, "h264", "libx264"), (second, "h265", "libx265")):
        folder.mkdir()
        write_clip(folder / f"{name}.mp4", codec=codec, rounds=60)
    before = Camera(first)
    before.start()
    after = Camera(second, before.port)
    try:
        api.add("changing", before.url("any"))
        assert api.live("changing")["codec"] == "h264"
        before.kill()
        after.start()
        api.until("changing", lambda found: found["codec"] == "hevc")
        assert api.live("changing")["codec_changes"] == 1
    finally:
        before.kill()
        after.kill()


def test_a_camera_on_the_page_with_an_effect(api, camera, browser, program, open_screen):
    api.add("yard", camera.url("h264"))
    api.live("yard")
    screen = open_screen(browser, program.url)
    page = screen.page
    screen.watch("yard")
    page.wait_for_timeout(500)
    box = page.locator("#output").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    screen.until(lambda: page.locator("#objects li").count() == 1)
    screen.until(lambda: api.ask("GET", "cameras/yard")["objects"] == 1)
    page.keyboard.press("5")  # the effect colour
    screen.until(lambda: api.ask("GET", "cameras/yard")["effect"] == "colour")
    screen.until(lambda: is_green_around(api.snapshot("yard")))
    page.screenshot(path=str(ARTEFACTS / "camera-page.png"))
    camera.kill()
    screen.until(lambda: "yard: " in page.inner_text("#status"))
    page.screenshot(path=str(ARTEFACTS / "camera-page-lost.png"))
    assert page.evaluate("document.body.dataset.state") == "live"
    camera.start()
    screen.until(lambda: page.inner_text("#status") == "Live")
    screen.page.click("#stop")
    assert api.live("yard")["objects"] == 1


HEARD = """async () => {
  const context = (window.hearing ??= new AudioContext());
  await context.resume();
  window.ear ??= (() => {
    const ear = context.createAnalyser();
    const { srcObject } = document.querySelector("#output");
    context.createMediaStreamSource(new MediaStream(srcObject.getAudioTracks())).connect(ear);
    return ear;
  })();
  const samples = new Float32Array(window.ear.fftSize);
  window.ear.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
}"""


def test_a_cameras_sound_is_heard_on_the_page_when_asked_for(
    api, camera, browser, program, open_screen
):
    api.add("talk", camera.url("aac"), effect="none")
    assert api.live("talk")["sound"] == "aac"
    screen = open_screen(browser, program.url)
    page = screen.page
    page.wait_for_selector("#camera option[value='camera:talk']", state="attached")
    assert not page.is_visible("#listen-label")
    page.select_option("#camera", "camera:talk")
    screen.start()
    assert page.inner_text("#listen-label").strip() == "Hear the camera"
    assert page.evaluate("document.querySelector('#output').muted")
    page.check("#listen")
    assert not page.evaluate("document.querySelector('#output').muted")
    screen.until(lambda: page.evaluate(HEARD) > 0.1)  # the beep
    screen.until(lambda: page.evaluate(HEARD) < 0.01)  # the silence between
    page.click("#stop")
    assert not page.is_visible("#listen-label")


def is_green_around(picture):
    blue, green, red = picture[4, 4].astype(int)
    return green > 140 and red < 60 and blue < 120


def test_a_server_that_is_killed_leaves_no_process_and_a_readable_recording(
    camera, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEGSTREAM_CAMERAS", str(tmp_path / "cameras.json"))
    monkeypatch.setenv("SEGSTREAM_RECORD", str(tmp_path / "recordings"))
    server = Server(free_port())
    server.start()
    api = Api(server)
    api.add("door", camera.url("h264"), record=True)
    api.until("door", lambda found: (found["recording"] or {"seconds": 0})["seconds"] > 5)
    left = readers(server)
    assert left
    server.stop(signal.SIGKILL)
    (path,) = (tmp_path / "recordings" / "door").glob("*.mp4")
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    assert count > 50
    for _ in range(300):
        if not any(Path(f"/proc/{pid}").exists() for pid in left):
            return
        time.sleep(0.1)
    pytest.fail(f"{left} have not ended")


def test_a_camera_goes_to_chromium_by_whep_and_to_another_server(
    api, camera, page, program, folder
):
    target = camera.url("record")
    api.add("lane", camera.url("h264"), effect="none", publish=[target])
    api.until("lane", lambda found: found["publications"][0]["state"] == "live")
    page.goto(program.url)
    page.evaluate(WATCH, ["/whep/camera/lane", ["video"]])
    page.wait_for_function(SHOWS, arg=[(230, 230, 60), (40, 40, 40)])
    assert page.evaluate(PIXELS)["width"] == WIDTH
    page.locator("video").screenshot(path=ARTEFACTS / "whep-camera.png")
    assert page.evaluate("window.viewing.location").startswith("/whep/camera/lane/")
    camera.kill()
    api.until("lane", lambda found: found["publications"][0]["state"] == "waiting")
    camera.start()
    api.until("lane", lambda found: found["publications"][0]["state"] == "live")
    assert (folder / "recorded.h264").exists()
