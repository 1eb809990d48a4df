#!/bin/sh
# Make sure that browsers can be driven by the tests, and that an RTSP camera can be played to them;
# install what is missing if one may.
set -eu
playwright=$1

has_browser() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then return; fi
  done
  return 1
}

missing=
has_browser || missing=chromium
{ command -v firefox-esr || command -v firefox; } >/dev/null || missing="$missing firefox-esr"
# Calls the REST endpoint as the hosted service's users do.
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
# Reads the videos that come back as other programs do.
command -v ffprobe >/dev/null || missing="$missing ffmpeg"
# Playwright brings its own node, which a bare Debian lacks one library for.
"$playwright" --version >/dev/null 2>&1 || missing="$missing libatomic1"
has_camera() {
  /usr/bin/python3 -c "import gi; gi.require_version('GstRtspServer', '1.0')
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ('qtdemux', 'h265parse', 'rtph265pay', 'jpegenc')))"
}
has_camera 2>/dev/null || missing="$missing python3-gi gir1.2-gst-rtsp-server-1.0
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
# Publishes and watches as programs on GStreamer do.
has_peer() {
  /usr/bin/python3 -c "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstWebRTC', '1.0')
from gi.repository import Gst, GstWebRTC
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ('webrtcbin', 'nicesrc', 'openh264enc', 'openh264dec')))"
}
has_peer 2>/dev/null || missing="$missing python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
# Receives by SRT; its elements bring the library along that the server needs.
has_receiver() {
  /usr/bin/python3 -c "import gi; gi.require_version('Gst', '1.0')
from gi.repository import Gst
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ('srtsrc', 'tsdemux', 'openh264dec', 'aacparse', 'faad')))"
}
has_receiver 2>/dev/null || missing="$missing python3-gi gir1.2-gst-plugins-base-1.0
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
# Makes a network for them.
command -v ip >/dev/null || missing="$missing iproute2"
# Relays media to the tests of TURN.
command -v turnserver >/dev/null || missing="$missing coturn"
# Compiles a stand-in for the driver of a virtual camera.
echo '#include <linux/videodev2.h>' | gcc -E - >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
# Reads the systemd unit.
command -v systemd-analyze >/dev/null || missing="$missing systemd"
missing=$(echo "$missing" | xargs)
if [ -z "$missing" ]; then exit; fi

if [ "$(id -u)" = 0 ]; then
  as_root=
elif sudo -n true 2>/dev/null; then
  as_root=sudo
else
  echo "The tests drive browsers and play a camera. Install them with: sudo apt-get install $missing" >&2
  exit 1
fi
echo "Installing for the tests: $missing" >&2
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $missing >/dev/null
