#!/usr/bin/python3
"""GStreamer's webrtcbin: publishes a white square on a black ground, or watches.

Run with the system's Python, whose packages hold GStreamer: gstreamer_peer.py publish|watch URL
VP8|H264. publish prints a line when it is connected, and goes on until it is killed; watch prints
JSON of what it has seen, and ends what it has begun.
"""

import json
import sys

import gi
import whip_http

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

WATCHED = 30
"""Pictures."""

TIMEOUT = 30

SCENE = (
    "videotestsrc is-live=true pattern=white "
    "! video/x-raw,format=I420,width=120,height=120,framerate=30/1 "
    "! videobox top=-120 bottom=-120 left=-260 right=-260"
)
ENCODERS = {
    "VP8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=60 ! rtpvp8pay picture-id-mode=2 pt=96",
    "H264": "openh264enc complexity=low gop-size=60 "
    "! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 pt=96",
}
DECODERS = {"VP8": "rtpvp8depay ! vp8dec", "H264": "rtph264depay ! h264parse ! openh264dec"}
RTP = "application/x-rtp,media=video,encoding-name={},payload=96,clock-rate=90000"


class Peer:
    """One webrtcbin: offers as soon as it has all its addresses, and takes the answer."""

    def __init__(self, pipeline, url):
        self.location = ""
        self.bin = pipeline.get_by_name("peer")
        self._url = url
        self._pipeline = pipeline
        self._loop = GLib.MainLoop()
        self._error = ""
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self._on_error)
        self.bin.connect("on-negotiation-needed", self._create_offer)
        self.bin.connect("notify::ice-gathering-state", lambda *_: GLib.idle_add(self._send_offer))

    def run(self):
        self._pipeline.set_state(Gst.State.PLAYING)
        self._loop.run()
        self._pipeline.set_state(Gst.State.NULL)
        if self._error:
            sys.exit(self._error)

    def stop(self, error=""):
        self._error = error
        self._loop.quit()

    def _on_error(self, _, message):
        self.stop(message.parse_error().debug)

    def _create_offer(self, _):
        promise = Gst.Promise.new_with_change_func(self._on_offer)
        self.bin.emit("create-offer", None, promise)

    def _on_offer(self, promise):
        self._reply = promise.get_reply()  # else its offer is freed with it
        offer = self._reply.get_value("offer")
        self.bin.emit("set-local-description", offer, Gst.Promise.new())

    def _send_offer(self):
        state = self.bin.get_property("ice-gathering-state")
        if state != GstWebRTC.WebRTCICEGatheringState.COMPLETE or self.location:
            return
        try:
            sdp = self.bin.get_property("local-description").sdp.as_text()
            answer, self.location = whip_http.begin(self._url, sdp)
            _, message = GstSdp.SDPMessage.new_from_text(answer)
            described = GstWebRTC.WebRTCSessionDescription.new(
                GstWebRTC.WebRTCSDPType.ANSWER, message
            )
            self.bin.emit("set-remote-description", described, Gst.Promise.new())
        except Exception as error:  # GLib would print it and go on
            self.stop(repr(error))


def publish(url, codec):
    caps = RTP.format(codec)
    pipeline = Gst.parse_launch(
        f"webrtcbin name=peer bundle-policy=max-bundle {SCENE} ! {ENCODERS[codec]} ! {caps} ! peer."
    )
    peer = Peer(pipeline, url)

    def look(*_):
        state = peer.bin.get_property("connection-state")
        if state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            print("publishing", flush=True)

    peer.bin.connect("notify::connection-state", look)
    peer.run()


def watch(url, codec):
    pipeline = Gst.Pipeline()
    pipeline.add(Gst.parse_launch("webrtcbin name=peer bundle-policy=max-bundle latency=0"))
    peer = Peer(pipeline, url)
    format = ",packetization-mode=(string)1,profile-level-id=(string)42e01f"
    caps = Gst.caps_from_string(RTP.format(codec) + (format if codec == "H264" else ""))
    direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
    peer.bin.emit("add-transceiver", direction, caps)
    seen = []

    def on_picture(_, buffer, pad):
        form = pad.get_current_caps().get_structure(0)
        seen.append((buffer.extract_dup(0, buffer.get_size()), form))
        if len(seen) == WATCHED:
            GLib.idle_add(peer.stop)

    def on_pad(_, pad):
        # videoconvert leaves the rows of the picture without a gap between them.
        decoder = Gst.parse_bin_from_description(
            f"{DECODERS[codec]} ! videoconvert ! video/x-raw,format=GRAY8 "
            "! fakesink name=sink sync=false signal-handoffs=true",
            True,
        )
        decoder.get_by_name("sink").connect("handoff", on_picture)
        pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    peer.bin.connect("pad-added", on_pad)
    GLib.timeout_add_seconds(TIMEOUT, lambda: peer.stop(f"{len(seen)} pictures in {TIMEOUT} s"))
    peer.run()
    pixels, form = seen[-1]
    size = width, height = form.get_value("width"), form.get_value("height")
    stride = (width + 3) // 4 * 4

    def at(x, y):
        return pixels[int(height * y) * stride + int(width * x)]

    print(json.dumps({"size": size, "middle": at(0.5, 0.5), "corner": at(0.05, 0.05)}))
    whip_http.end(peer.location)


if __name__ == "__main__":
    Gst.init(None)
    does, url, codec = sys.argv[1:]
    {"publish": publish, "watch": watch}[does](url, codec)
