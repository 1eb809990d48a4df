#!/usr/bin/python3
"""A camera for tests: GStreamer's RTSP server, which plays prepared streams.

Run with the system's Python, whose packages hold GStreamer: rtsp_server.py PORT FOLDER. It plays
/mjpeg, and what is in the folder as /h264 and /h265, the first also as /udp (over UDP only) and
/locked (user camera, password s3cret); what beeps as /aac, /pcmu and /opus. /any is the one of the
silent ones that there is. What is published to /record, or /record-locked, is written to
recorded.h264 in the folder, anew for each connection; what is published to /record-sound, with AAC,
to recorded.mkv.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

H264 = (
    "filesrc location={}/h264.mp4 ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=-1"
)
H265 = (
    "filesrc location={}/h265.mp4 ! qtdemux ! h265parse ! rtph265pay name=pay0 config-interval=-1"
)
TALK = (
    "filesrc location={}/talk.mkv ! matroskademux name=film "
    "film. ! queue ! h264parse ! rtph264pay name=pay0 config-interval=-1 "
    "film. ! queue ! audioconvert ! audioresample ! "
)
SOUNDS = {
    "pcmu": TALK + "audio/x-raw,rate=8000 ! mulawenc ! rtppcmupay name=pay1",
    "opus": TALK + "opusenc ! rtpopuspay name=pay1",
    "aac": (
        "filesrc location={}/talk.mp4 ! qtdemux name=film "
        "film. ! queue ! h264parse ! rtph264pay name=pay0 config-interval=-1 "
        "film. ! queue ! aacparse ! rtpmp4gpay name=pay1"
    ),
}
MJPEG = (
    "videotestsrc is-live=true pattern=ball "
    "! video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! jpegenc ! rtpjpegpay name=pay0"
)

RECORD = (
    "rtph264depay name=depay0 ! h264parse config-interval=-1 "
    "! video/x-h264,stream-format=byte-stream,alignment=au "
    "! filesink buffer-mode=unbuffered sync=false location={}/recorded.h264"
)

RECORD_SOUND = (
    "matroskamux name=mux streamable=true min-index-interval=0 "
    "! filesink buffer-mode=unbuffered sync=false location={}/recorded.mkv "
    "rtph264depay name=depay0 ! h264parse ! queue ! mux. "
    "rtpmp4gdepay name=depay1 ! aacparse ! queue ! mux."
)


def factory(launch, folder):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {launch.format(folder)} )")
    made.set_shared(True)
    return made


def recorder(folder, launch=RECORD):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    made.set_launch(f"( {launch.format(folder)} )")
    return made


def open_to(made, role):
    """Others are asked for a password: access without construct is answered by 401."""
    permissions = GstRtspServer.RTSPPermissions()
    for other in ("anyone", "camera"):
        permissions.add_role(other)
        permissions.add_permission_for_role(other, "media.factory.access", True)
        may = role in (other, "anyone")
        permissions.add_permission_for_role(other, "media.factory.construct", may)
    made.set_permissions(permissions)
    return made


def token(role):
    made = GstRtspServer.RTSPToken()
    made.set_string("media.factory.role", role)
    return made


def main(port, folder):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    auth = GstRtspServer.RTSPAuth()
    auth.set_default_token(token("anyone"))
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("camera", "s3cret"), token("camera"))
    server.set_auth(auth)
    mounts = server.get_mount_points()
    mounts.add_factory("/mjpeg", open_to(factory(MJPEG, folder), "anyone"))
    mounts.add_factory("/record", open_to(recorder(folder), "anyone"))
    mounts.add_factory("/record-locked", open_to(recorder(folder), "camera"))
    mounts.add_factory("/record-sound", open_to(recorder(folder, RECORD_SOUND), "anyone"))
    if (folder / "h264.mp4").exists():
        mounts.add_factory("/h264", open_to(factory(H264, folder), "anyone"))
        mounts.add_factory("/locked", open_to(factory(H264, folder), "camera"))
        udp = open_to(factory(H264, folder), "anyone")
        udp.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        mounts.add_factory("/udp", udp)
    if (folder / "h265.mp4").exists():
        mounts.add_factory("/h265", open_to(factory(H265, folder), "anyone"))
    if (folder / "talk.mkv").exists():
        for name, launch in SOUNDS.items():
            mounts.add_factory(f"/{name}", open_to(factory(launch, folder), "anyone"))
    codec = H264 if (folder / "h264.mp4").exists() else H265
    mounts.add_factory("/any", open_to(factory(codec, folder), "anyone"))
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
