#!/usr/bin/python3
"""A receiver by SRT for tests: GStreamer decodes what comes.

Run with the system's Python, whose packages hold GStreamer: srt_receiver.py URL PICTURE [STREAM].
The URL has the options of srtsrc. Prints a line of JSON for each picture and each frame of sound
(`at` is time.monotonic()), and writes every tenth picture to the file PICTURE, as I420, since 1.22
takes a stream that says that its range is limited for full. STREAM: the id that a caller must have.
"""

import array
import json
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

PIPELINE = (
    "srtsrc name=source ! tsdemux name=demux latency=0 "
    "demux. ! queue ! h264parse ! openh264dec ! video/x-raw,format=I420 "
    "! appsink name=pictures sync=false async=false emit-signals=true "
    "demux. ! queue ! aacparse ! faad ! audioconvert ! audio/x-raw,format=S16LE "
    "! appsink name=sounds sync=false async=false emit-signals=true"
)
TELLING = threading.Lock()
LOUD = 1500
"""Of 32768."""


class Receiver:
    def __init__(self, picture):
        self._picture = picture
        self._count = 0

    def seen(self, sink):
        at = time.monotonic()
        buffer, caps = pulled(sink)
        width, height = caps.get_value("width"), caps.get_value("height")
        data = buffer.extract_dup(0, buffer.get_size())
        assert len(data) == width * height * 3 // 2, "there is a gap after each row"
        if self._count % 10 == 9:
            with open(f"{self._picture}.part", "wb") as file:
                file.write(data)
            os.replace(f"{self._picture}.part", self._picture)
        self._count += 1
        some = data[: width * height : 97]
        brightness = sum(some) / len(some)
        tell(size=[width, height], seconds=buffer.pts / Gst.SECOND, brightness=brightness, at=at)
        return Gst.FlowReturn.OK

    def heard(self, sink):
        buffer, caps = pulled(sink)
        samples = array.array("h", buffer.extract_dup(0, buffer.get_size()))
        channels, rate = caps.get_value("channels"), caps.get_value("rate")
        seconds = buffer.pts / Gst.SECOND
        loud = (index for index, sample in enumerate(samples) if abs(sample) > LOUD)
        first = next(loud, None)
        loud_at = None if first is None else seconds + first // channels / rate
        tell(sound=seconds, loud=loud_at, at=time.monotonic())
        return Gst.FlowReturn.OK


def pulled(sink):
    sample = sink.emit("pull-sample")
    return sample.get_buffer(), sample.get_caps().get_structure(0)


def tell(**fields):
    with TELLING:  # pictures and sound come in threads of their own
        print(json.dumps(fields), flush=True)


def main(url, picture, stream=None):
    Gst.init(None)
    receiver, pipeline = Receiver(picture), Gst.parse_launch(PIPELINE)
    source = pipeline.get_by_name("source")
    source.set_property("uri", url)
    if stream is not None:
        source.set_property("authentication", True)
        source.connect("caller-connecting", lambda _source, _address, given: given == stream)
    pipeline.get_by_name("pictures").connect("new-sample", receiver.seen)
    pipeline.get_by_name("sounds").connect("new-sample", receiver.heard)
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: fail(loop, message))
    bus.connect("message::eos", lambda *_: loop.quit())
    pipeline.set_state(Gst.State.PLAYING)
    print("ready", flush=True)
    loop.run()


def fail(loop, message):
    print(message.parse_error(), file=sys.stderr)
    loop.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
