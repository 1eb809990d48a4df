"""The process that sends one stream to a target. `python -m stream.egress.writer`.

A process and not a thread, because nothing interrupts FFmpeg: a server that takes no more data
holds up this process, which can be killed, and nothing else. It ends when its standard input does.
"""

import contextlib
import io
import math
import os
import signal
import socket
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from stream import srt, srt_address
from stream.egress.encoder import RATE
from stream.egress.publication import Failure, classify
from stream.egress.sound_track import NO_INTERLEAVING, SoundTrack
from stream.egress.target import Kind
from stream.egress.writer_messages import (
    Closed,
    End,
    Open,
    Picture,
    Ready,
    Report,
    Sound,
    Written,
    encode,
    read_order,
)
from stream.limits import PUBLISH_BUFFER, PUBLISH_OPEN, PUBLISH_SILENCE
from stream.parent import end_with_parent

FORMATS = {Kind.RTSP: "rtsp", Kind.RTMP: "flv", Kind.SRT: "mpegts"}

OPTIONS = {
    # Over TCP: UDP would need ports at both ends, and loses what nobody asks for again.
    Kind.RTSP: {"rtsp_transport": "tcp"},
    # Without the two, the muxer seeks back at the end, which a network cannot.
    Kind.RTMP: {"flvflags": "no_duration_filesize"},
    # A file is written to in large pieces; and of sound, else, 0.2 s are collected first.
    Kind.SRT: {"flush_packets": "1", "pes_payload_size": "0"},
}

CHUNK = 32 * srt_address.PAYLOAD
"""Bytes that the muxer writes at most at once: whole packets of MPEG-TS."""

LONGEST_CALL = math.ceil(PUBLISH_OPEN) + 2
"""Seconds after which the kernel ends this process in the middle of a call: PyAV 18 connects, and
says goodbye, with Python's lock held, so that no thread here could. The server is quicker, if it is
there."""

SYSTEM_ERRORS = 200
"""Numbers above are FFmpeg's own."""


class Output:
    """One connection after the other, each from a key frame on.

    order: what the next key frame's is to be.
    """

    def __init__(self, order: Open) -> None:
        self.order = order
        self._container: av.container.OutputContainer | None = None
        self._stream: Any = None
        self._size = (0, 0)
        self._began = 0
        self._last = -1
        self._sound: SoundTrack | None = None
        self._listener: srt.Listener | None = None
        self._srt: srt.Connection | None = None

    def write(self, picture: Picture, data: bytes) -> bool:
        """Whether somebody is there who gets it. Raises av.FFmpegError, OSError, SrtError."""
        if picture.keyframe:
            self._open_for(picture, data)
        if self._container is None:
            return False
        packet = av.Packet(data)
        packet.stream, packet.time_base = self._stream, Fraction(1, RATE)
        # What was reopened begins anew, but its times must not stand still.
        packet.pts = packet.dts = max(picture.pts - self._began, self._last + 1)
        packet.is_keyframe = picture.keyframe
        self._last = packet.pts
        self._container.mux(packet)
        return True

    def hear(self, sound: Sound, data: bytes) -> None:
        """What comes before the first key frame, and other sound than the connection was begun
        with before the next, is left out. Raises as `write`."""
        track = self._sound
        if self._container is None or track is None or track.format != self.order.sound:
            return
        self._container.mux(track.packets(sound.pts - self._began, data))

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        if self._srt is not None:
            self._srt.close()
        self._container = self._srt = None

    def _open_for(self, picture: Picture, data: bytes) -> None:
        """The parameter sets, which are in the key frame, are told when a connection begins. FLV
        has no way to tell others in the middle that every server takes; RTSP takes them as they
        come (RFC 6184, 8.4)."""
        with av.open(io.BytesIO(data), format="h264") as parsed:
            template = parsed.streams.video[0]
            size = template.codec_context.width, template.codec_context.height
            is_other = size != self._size and self.order.kind is Kind.RTMP
            # Which streams there are is told when a connection begins.
            is_other |= self.order.sound != (self._sound and self._sound.format)
            if self._container is not None and not is_other:
                return
            self.close()
            kind = self.order.kind
            place = self._connect_srt() if kind is Kind.SRT else self.order.url
            if place is None:
                return
            options = OPTIONS[kind] | NO_INTERLEAVING
            if self.order.tcurl is not None:
                options["rtmp_tcurl"] = self.order.tcurl
            if self.order.proxy is not None:
                go_by_proxy(self.order.proxy)
            container = av.open(
                place, "w", format=FORMATS[kind], container_options=options, buffer_size=CHUNK
            )
            self._container = container
            self._stream = container.add_stream_from_template(template)
            self._stream.time_base = Fraction(1, RATE)
            sound = self.order.sound
            self._sound = None if sound is None else SoundTrack(container, sound)
            self._size, self._began, self._last = size, picture.pts, -1
            container.start_encoding()
        bound_sockets()

    def _connect_srt(self) -> srt.Connection | None:
        """None: it waits to be called, and nobody has."""
        address = srt_address.read(self.order.url)
        if not address.is_listener:
            self._srt = srt.connect(address)
        else:
            self._listener = self._listener or srt.Listener(address)
            self._srt = self._listener.accept()
            if self._srt is not None:
                self._listener = None
        return self._srt


def go_by_proxy(port: int) -> None:
    """What connects by TLS from now on; FFmpeg's RTSP has no option for it."""
    os.environ["http_proxy"] = f"http://127.0.0.1:{port}"
    os.environ.pop("no_proxy", None)


def bound_sockets() -> None:
    """Let what a slow network does not carry wait where it can be dropped, not in the kernel; and
    notice a peer that is gone. FFmpeg has no settings for either that all its protocols share."""
    for path in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError, ValueError):
            if not os.readlink(path).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as found:
                if found.type == socket.SOCK_STREAM and found.family != socket.AF_UNIX:
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PUBLISH_BUFFER)
                    # Later than the server sees that nothing is taken; for when nothing is sent.
                    milliseconds = struct.pack("i", round(2 * PUBLISH_SILENCE * 1000))
                    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def publish() -> Closed | None:
    """Do what the server says until it says End, or the target is gone."""
    output: Output | None = None
    while (read := read_order(sys.stdin.buffer)) is not None:
        order, data = read
        signal.alarm(LONGEST_CALL)
        try:
            match order:
                case Open():
                    output = output or Output(order)
                    output.order = order
                case Picture():
                    assert output is not None
                    say(Written(output.write(order, data)))
                case Sound():
                    assert output is not None
                    output.hear(order, data)
                    say(Written())
                case End():
                    if output is not None:
                        output.close()
                    return None
        except Exception as error:
            # FFmpeg's own text repeats the address with its password.
            number = getattr(error, "errno", None)
            detail = os.strerror(number).lower() if number and 0 < number < SYSTEM_ERRORS else ""
            if isinstance(error, srt.SrtError):
                detail = error.detail
            return Closed(classify(error), detail)
        finally:
            signal.alarm(0)
    return Closed(Failure.CLOSED)


def say(report: Report) -> None:
    sys.stdout.buffer.write(encode(report))
    sys.stdout.buffer.flush()


def main() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    end_with_parent()
    say(Ready())
    if (closed := publish()) is not None:
        with contextlib.suppress(BrokenPipeError):
            say(closed)
    os._exit(0)  # closing could block in FFmpeg


if __name__ == "__main__":
    main()
