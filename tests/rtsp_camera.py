"""A camera that can be killed, frozen and started again: tests/rtsp_server.py in a process."""

import functools
import signal
import socket
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
WIDTH, HEIGHT, COUNT = 320, 240, 60


def missing() -> str:
    """What the test camera lacks on this machine; empty when it can be started."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        done = subprocess.run([PYTHON, "-c", check], capture_output=True, timeout=30)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else "GStreamer's RTSP server is not installed"


class Camera:
    """Plays what `write_streams` left in a folder."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        command = [PYTHON, str(SERVER), str(self.port), str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


def scene(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A bright square that moves to and fro over a dark background, RGB."""
    picture = np.full((height, width, 3), 40, np.uint8)
    side = height // 3
    left = width // 3 + int(width / 6 * np.sin(index * 2 * np.pi / COUNT))
    picture[side : 2 * side, left : left + side] = (230, 230, 60)
    return picture


@functools.cache
def scene_packets(codec: str) -> bytes:
    return b"".join(encoded(codec, (scene(index) for index in range(COUNT))))


def encoded(codec: str, pictures: Iterator[np.ndarray], key_every: int = 15) -> Iterator[bytes]:
    """The packets of a stream in Annex B, 30 pictures a second."""
    context: av.VideoCodecContext | None = None
    for index, picture in enumerate(pictures):
        if context is None:
            made = av.CodecContext.create(codec, "w")
            assert isinstance(made, av.VideoCodecContext)
            context = made
            context.height, context.width = picture.shape[:2]
            context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
            context.gop_size = key_every
            context.options = {"preset": "ultrafast", "tune": "zerolatency"}
            if codec == "libx265":
                context.options["x265-params"] = f"log-level=none:keyint={key_every}"
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 30)
        yield from (bytes(packet) for packet in context.encode(frame))
    if context is not None:
        yield from (bytes(packet) for packet in context.encode(None))


def write_streams(folder: Path) -> Path:
    """The drawn scene as H264 and H265, for a minute, since the server's clock jumps at its end."""
    (folder / "h264").write_bytes(scene_packets("libx264") * 30)
    (folder / "h265").write_bytes(scene_packets("libx265") * 30)
    return folder


def write_clip(path: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """The scene as an MP4 of two seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(COUNT):
            frame = av.VideoFrame.from_ndarray(scene(index, width, height), "rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
