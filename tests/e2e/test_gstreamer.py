"""WHIP and WHEP with GStreamer's webrtcbin: it publishes, and another one watches.

libnice, below it, does not use loopback: so they and the server stand in a network of their own
where one can be made, and need another address of this machine where not.
"""

import json
import subprocess
from pathlib import Path

import pytest
from own_network import own_network
from rtsp_camera import PYTHON
from running_server import Server, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PEER = Path(__file__).with_name("gstreamer_peer.py")
CHECK = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstWebRTC
Gst.init(None)
wanted = "webrtcbin", "nicesrc", "vp8enc", "vp8dec", "openh264enc", "openh264dec"
assert all(map(Gst.ElementFactory.find, wanted))
"""
PACKAGES = (
    "python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


@pytest.fixture(scope="module")
def apart(artefacts):
    """A server; it and all else that the tests start meanwhile are in a network of their own."""
    found = subprocess.run([PYTHON, "-c", CHECK], capture_output=True, timeout=60, check=False)
    if found.returncode:
        pytest.fail(
            f"no webrtcbin found; install it, on Debian and Ubuntu: apt-get install {PACKAGES}"
        )
    with own_network():
        server = Server(free_port())
        server.start()
        yield server
        server.stop()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_webrtcbin_publishes_and_watches(apart, codec):
    def start(does, path):
        command = [PYTHON, str(PEER), does, f"{apart.url}{path}", codec]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    publisher = start("publish", f"/whip?session={codec}&effect=none")
    try:
        assert publisher.stdout.readline() == "publishing\n"
        viewer = start("watch", f"/whep/{codec}")
        seen, _ = viewer.communicate(timeout=60)
        assert viewer.returncode == 0
        assert publisher.poll() is None
    finally:
        publisher.kill()
        publisher.communicate(timeout=20)
    seen = json.loads(seen)
    assert seen["size"] == [640, 360]
    assert seen["middle"] > 200
    assert seen["corner"] < 40
