"""WHIP and WHEP with what people build on: libwebrtc in Python, and whip-whep in Chromium, whose
page is of another site. The server asks for a token."""

import json
import subprocess
import sys
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import npm
import pytest
import whip_http
from conftest import QuietFiles
from running_server import ARTEFACTS, Server, free_port
from test_whip_clients import GROUND, SHOWS, SQUARE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PEER = Path(__file__).with_name("wrtc_peer.py")
TOKEN = "north-wind-and-sun"
WHIP_WHEP = "1.2.0"

PUBLISH = """
async ([url, token]) => {
  const { WHIPClient } = await import("/node_modules/whip-whep/whip.js");
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const context = canvas.getContext("2d");
  setInterval(() => {
    context.fillStyle = "rgb(40, 40, 40)";
    context.fillRect(0, 0, 640, 360);
    context.fillStyle = "rgb(230, 230, 60)";
    context.fillRect(260, 120, 120, 120);
  }, 33);
  const peer = new RTCPeerConnection();
  for (const track of canvas.captureStream(30).getTracks())
    peer.addTransceiver(track, { direction: "sendonly" });
  window.publishing = new WHIPClient();
  await window.publishing.publish(peer, url, token);
}
"""

WATCH = """
async ([url, token]) => {
  const { WHEPClient } = await import("/node_modules/whip-whep/whep.js");
  const peer = new RTCPeerConnection();
  const { receiver } = peer.addTransceiver("video", { direction: "recvonly" });
  const video = Object.assign(document.createElement("video"),
    { muted: true, autoplay: true, srcObject: new MediaStream([receiver.track]) });
  document.body.replaceChildren(video);
  window.viewing = { video, client: new WHEPClient() };
  await window.viewing.client.view(peer, url, token);
}
"""


@pytest.fixture(scope="module")
def guarded(artefacts):
    server = Server(free_port(), SEGSTREAM_TOKEN=TOKEN)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def other_site():
    """Serves the package whip-whep."""
    handler = partial(QuietFiles, directory=npm.fetch("whip-whep", WHIP_WHEP))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()


def live(server):
    """How many publish, and how many watch."""
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=20) as response:
        health = json.load(response)
    return health["sessions"], health["viewers"]


def test_libwebrtc_publishes_and_watches(guarded):
    if find_spec("webrtc") is None:
        pytest.fail("no libwebrtc found; install it: pip install wrtc, or '.[test]' as a whole")

    def start(does, path):
        command = [sys.executable, str(PEER), does, f"{guarded.url}{path}", TOKEN]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    publisher = start("publish", "/whip?session=library&effect=none")
    try:
        assert publisher.stdout.readline() == "publishing\n"
        viewer = start("watch", "/whep/library")
        seen, _ = viewer.communicate(timeout=60)
        assert viewer.returncode == 0
        assert publisher.poll() is None
    finally:
        publisher.kill()
        publisher.communicate(timeout=20)
        whip_http.end(f"{guarded.url}/whip/library", TOKEN)
    seen = json.loads(seen)
    assert seen["size"] == [640, 360]
    assert seen["middle"] > 160
    assert seen["corner"] < 80


def test_whip_whep_publishes_and_watches(guarded, other_site, page):
    answers = []
    page.on("response", lambda told: answers.append((told.request.method, told.status)))
    page.goto(other_site)
    page.evaluate(PUBLISH, [f"{guarded.url}/whip?session=page&effect=none", TOKEN])
    page.evaluate(WATCH, [f"{guarded.url}/whep/page", TOKEN])
    page.wait_for_function(SHOWS, arg=[SQUARE, GROUND], timeout=30_000)
    page.locator("video").screenshot(path=ARTEFACTS / "whip-whep.png")
    assert live(guarded) == (1, 1)
    page.evaluate("window.viewing.client.stop()")
    page.evaluate("window.publishing.stop()")
    assert live(guarded) == (0, 0)
    # The offers bore no addresses: those came after, by PATCH.
    posted, patched, deleted = (
        {status for asked, status in answers if asked == method}
        for method in ("POST", "PATCH", "DELETE")
    )
    assert posted == {201}
    assert patched == {204}
    # It closes its connection before it asks for the end, which the server may have noticed first.
    assert deleted <= {200, 404}
