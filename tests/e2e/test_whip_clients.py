"""WHIP and WHEP with clients that nobody here wrote: FFmpeg publishes, Chromium watches."""

import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from running_server import ARTEFACTS

pytestmark = pytest.mark.e2e

PUBLISHER = Path(__file__).parent / "ffmpeg_publisher.py"

WATCH = """
async ([path, kinds]) => {
  const peer = new RTCPeerConnection();
  for (const kind of kinds) peer.addTransceiver(kind, { direction: "recvonly" });
  const stream = new MediaStream(peer.getReceivers().map((receiver) => receiver.track));
  await peer.setLocalDescription(await peer.createOffer());
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/sdp" },
    body: peer.localDescription.sdp,  // no candidates yet: the server meets the browser's checks
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  const video = document.createElement("video");
  Object.assign(video, { muted: true, autoplay: true, srcObject: stream });
  document.body.replaceChildren(video);
  window.viewing = { peer, video, location: answer.headers.get("location") };
  await video.play();
}
"""

PIXELS = """
() => {
  const { video } = window.viewing;
  const canvas = new OffscreenCanvas(video.videoWidth || 1, video.videoHeight || 1);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const at = (x, y) =>
    [...context.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3);
  return { width: video.videoWidth, height: video.videoHeight, middle: at(0.5, 0.5),
           corner: at(0.05, 0.05) };
}
"""

SHOWS = f"""
([middle, corner]) => {{
  const near = (a, b) => b === null || a.every((value, at) => Math.abs(value - b[at]) < 40);
  const seen = ({PIXELS})();
  return seen.width > 1 && near(seen.middle, middle) && near(seen.corner, corner);
}}
"""

SQUARE, GROUND, GREEN = (230, 230, 60), (40, 40, 40), (0, 177, 64)


@contextmanager
def publisher(server, session, query):
    url = f"{server.url}/whip?session={session}&{query}"
    process = subprocess.Popen(
        [sys.executable, str(PUBLISHER), url, "60"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "publishing\n"
        yield
    finally:
        process.kill()
        process.communicate(timeout=20)
        status(f"{server.url}/whip/{session}", "DELETE")


@pytest.fixture
def page(page, server):
    page.goto(server.url)
    return page


def status(url, method):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_ffmpeg_publishes_and_chromium_watches(server, page):
    with publisher(server, "plain", "effect=none"):
        page.evaluate(WATCH, ["/whep/plain", ["video", "audio"]])
        page.wait_for_function(SHOWS, arg=[SQUARE, GROUND], timeout=30_000)
        assert page.evaluate(PIXELS)["width"] == 640
        page.locator("video").screenshot(path=ARTEFACTS / "whip-plain.png")
        page.wait_for_function(
            """async () => [...(await window.viewing.peer.getStats()).values()].some(
                 (part) => part.type === "inbound-rtp" && part.kind === "audio"
                   && part.totalAudioEnergy > 0.001)""",
            timeout=20_000,
        )
        location = page.evaluate("window.viewing.location")
        assert location.startswith("/whep/plain/")
        assert status(f"{server.url}{location}", "DELETE") == 200
        page.wait_for_function(
            """() => ["disconnected", "failed", "closed"].includes(
                 window.viewing.peer.connectionState)""",
            timeout=20_000,
        )
        assert status(f"{server.url}{location}", "DELETE") == 404


def test_the_background_is_hidden_in_what_comes_out(server, page):
    """What stands out in the picture is all that the model can take for a person, if anything."""
    with publisher(server, "green", "effect=colour&text=person"):
        page.evaluate(WATCH, ["/whep/green", ["video"]])
        page.wait_for_function(SHOWS, arg=[None, GREEN], timeout=30_000)
        page.locator("video").screenshot(path=ARTEFACTS / "whip-green.png")


def test_ffmpeg_ends_its_session_when_it_is_done(server):
    url = f"{server.url}/whip?session=short"
    done = subprocess.run([sys.executable, str(PUBLISHER), url, "2"], timeout=60, check=False)
    assert done.returncode == 0
    assert status(f"{server.url}/whip/short", "DELETE") == 404
