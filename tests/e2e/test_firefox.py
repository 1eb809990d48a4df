"""The page in Firefox: its own WebRTC and its own codecs, which without a plugin are VP8 alone."""

import base64
import time

import av
import cv2
import pytest
from fake_camera import VIDEO
from firefox import Firefox
from measure import change, detail, tint
from running_server import ARTEFACTS
from screen import GRAB, decode
from test_live_page import CHEST, HEAD, NO_CHANGE, SCREEN_AND_BOARD, TOP_CORNERS, TRUE_TINT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TIMEOUT = 60
"""Seconds; only a busy machine needs more than a few."""

NOTE_FAULTS = """
window.faults = [];
for (const event of ["error", "unhandledrejection", "securitypolicyviolation"]) {
  addEventListener(event, (told) => faults.push(`${event}: ${told.message ?? told.reason}`));
}
console.error = (...told) => faults.push(told.join(" "));
"""

FILM_AS_CAMERA = """
const [pictures] = arguments;
const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
const context = canvas.getContext("2d");
const images = pictures.map((src) => Object.assign(new Image(), { src }));
let shown = 0;
setInterval(() => context.drawImage(images[shown++ % images.length], 0, 0), 1000 / 15);
navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(15);
"""

PUBLISH = """
const [path] = arguments;
window.publisher = new RTCPeerConnection();
return (async () => {
  const camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  for (const track of camera.getTracks())
    publisher.addTransceiver(track, { direction: "sendonly" });
  await publisher.setLocalDescription();
  const headers = { "content-type": "application/sdp" };
  const { sdp: body } = publisher.localDescription;
  const answer = await fetch(path, { method: "POST", headers, body });
  await publisher.setRemoteDescription({ type: "answer", sdp: await answer.text() });
})();
"""

WATCH = """
const [path] = arguments;
window.peer = new RTCPeerConnection();
const { receiver } = peer.addTransceiver("video", { direction: "recvonly" });
const stream = new MediaStream([receiver.track]);
window.watched = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
return (async () => {
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== "complete") await new Promise((go) => setTimeout(go, 20));
  const headers = { "content-type": "application/sdp" };
  const { sdp: body } = peer.localDescription;
  const answer = await fetch(path, { method: "POST", headers, body });
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  await watched.play();
})();
"""

WATCHED = """
return peer.getStats().then((report) => {
  const [video] = [...report.values()].filter(({ type }) => type === "inbound-rtp");
  return video?.framesDecoded > 5 ? [watched.videoWidth, watched.videoHeight] : null;
});
"""

SOUND = "return document.querySelector('#output').srcObject.getAudioTracks()[0].muted"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Firefox(tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.close()


@pytest.fixture
def firefox(browser, film_server):
    """The page, opened anew; it must do without errors."""
    browser.open(film_server.url)
    browser.run(NOTE_FAULTS)
    yield browser
    browser.save(ARTEFACTS / "firefox-last.png")
    assert browser.run("return faults") == []


def until(look):
    deadline = time.monotonic() + TIMEOUT
    while not (value := look()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.1)
    return value


def start(firefox):
    firefox.click("#start")
    until(lambda: firefox.run("return document.body.dataset.state") == "live")
    until(lambda: firefox.run("return document.querySelector('#output').videoWidth"))


def pictures(firefox):
    """The returned picture and the camera's, RGB, at the camera's size."""
    output, local = map(decode, firefox.run(f"return ({GRAB})()"))
    return cv2.resize(output, local.shape[1::-1]), local


def person():
    """A person at a webcam, forth and back, as URLs of JPEGs."""
    with av.open(VIDEO / "webcam/night.mkv") as clip:
        frames = [
            frame.reformat(640, 480, "bgr24").to_ndarray()
            for index, frame in zip(range(40), clip.decode(video=0), strict=False)
            if index % 4 == 0
        ]
    jpegs = [base64.b64encode(cv2.imencode(".jpg", frame)[1]).decode() for frame in frames]
    return [f"data:image/jpeg;base64,{jpeg}" for jpeg in jpegs + jpegs[-2:0:-1]]


def text(firefox, selector):
    return firefox.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def point_at(firefox, place):
    left, top, width, height = firefox.run(
        "return import('/geometry.js').then(({ contain }) => {"
        " const video = document.querySelector('#output');"
        " const size = { width: video.videoWidth, height: video.videoHeight };"
        " const { left, top, width, height } = contain(video.getBoundingClientRect(), size);"
        " return [left, top, width, height]; })"
    )
    firefox.click_at(left + place[0] * width, top + place[1] * height)


def holds(firefox, check):
    """Wait until check(output, source) holds."""
    until(lambda: check(*pictures(firefox)))


def test_a_person_is_pointed_at_and_stands_out_and_others_watch(firefox):
    firefox.run(FILM_AS_CAMERA, person())
    start(firefox)
    holds(firefox, lambda output, source: change(output, source, CHEST) < NO_CHANGE)
    point_at(firefox, CHEST)
    until(lambda: firefox.run("return document.querySelectorAll('#objects li').length === 1"))
    colour = firefox.run("return document.querySelector('#objects li').dataset.colour")

    def tinted(output, source):
        return all(
            tint(output, source, place, colour) > TRUE_TINT for place in (CHEST, HEAD)
        ) and all(change(output, source, corner) < NO_CHANGE for corner in TOP_CORNERS)

    holds(firefox, tinted)
    firefox.save(ARTEFACTS / "firefox-overlay.png")

    firefox.press("3")
    firefox.click("#add-effect")  # an outline over the blur
    until(lambda: len(text(firefox, "#stack").split("\n")) >= 2)

    def blurred(output, source):
        regions = SCREEN_AND_BOARD
        return all(detail(output, part) < 0.5 * detail(source, part) for part in regions)

    holds(firefox, blurred)
    firefox.save(ARTEFACTS / "firefox-stack.png")
    size = "return document.querySelector('[data-stat=size]').dataset.value"  # once a second
    until(lambda: firefox.run(size) == "640 x 480")

    session = firefox.run(
        "return performance.getEntriesByType('resource').map(({ name }) => name)"
        ".find((name) => name.includes('/sessions/')).split('/').at(-2)"
    )
    firefox.run(WATCH, f"/whep/{session}")
    assert until(lambda: firefox.run(WATCHED)) == [640, 480]


def test_what_is_recorded_is_downloaded_and_a_camera_of_the_servers_watched(firefox):
    firefox.click("#microphone")
    start(firefox)
    until(lambda: not firefox.run(SOUND))
    firefox.press("r")
    until(lambda: "0:02" in text(firefox, "#record"))
    firefox.click("#record")
    until(lambda: "Download" in text(firefox, "#recordings"))
    firefox.click("#recordings a")
    (path,) = until(lambda: list(firefox.downloads.glob("segstream-*.mp4")))
    until(lambda: not list(firefox.downloads.glob("*.part")))
    with av.open(str(path)) as film:
        kinds = {frame.__class__ for frame in film.decode()}
    assert kinds == {av.VideoFrame, av.AudioFrame}
    assert firefox.run("return document.body.dataset.state") == "live", "it plays on"

    firefox.run("location.reload()")
    until(lambda: firefox.run("return document.body.dataset.state") == "idle")
    firefox.run(NOTE_FAULTS)
    until(lambda: "Download" in text(firefox, "#recordings"))
    # Firefox would tick again what was ticked.
    assert not firefox.run("return document.querySelector('#microphone').checked")
    firefox.run(
        "const camera = document.querySelector('#camera');"
        "camera.value = 'camera:film'; camera.dispatchEvent(new Event('change'))"
    )
    start(firefox)
    size = firefox.run("return document.querySelector('#output').videoWidth")
    assert size == 320
    firefox.save(ARTEFACTS / "firefox-camera.png")


def test_it_publishes_and_watches_with_nothing_but_fetch(firefox):
    """The offer goes out before there are any addresses, as docs/whip.md has it."""
    firefox.run(PUBLISH, "/whip?session=studio&effect=none")
    firefox.run(WATCH, "/whep/studio")
    width, height = until(lambda: firefox.run(WATCHED))
    assert width * 3 == height * 4
