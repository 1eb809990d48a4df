#!/usr/bin/python3
"""A camera by SRT for tests: GStreamer plays a film, in MPEG-TS, to who calls.

Run with the system's Python, whose packages hold GStreamer: srt_camera.py URL FILM. The URL has the
options of srtsink.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

PIPELINE = (
    "filesrc name=film ! qtdemux name=demux "
    "mpegtsmux name=mux alignment=7 ! srtsink name=sink "
    "demux. ! queue ! h264parse config-interval=-1 ! mux. "
    "demux. ! queue ! aacparse ! mux."
)


def main(url, film):
    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE)
    pipeline.get_by_name("film").set_property("location", film)
    pipeline.get_by_name("sink").set_property("uri", url)
    pipeline.set_state(Gst.State.PLAYING)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
