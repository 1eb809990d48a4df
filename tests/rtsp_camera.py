"""A camera that can be killed, frozen and started again: tests/rtsp_server.py in a process."""

import signal
import socket
import subprocess
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


def write_streams(folder: Path) -> Path:
    """The scene as H264 and H265, for two minutes, and `write_talk`."""
    write_talk(folder / "talk.mp4")
    write_talk(folder / "talk.mkv", sound="pcm_s16le")
    for name, codec in (("h264", "libx264"), ("h265", "libx265")):
        write_clip(folder / f"{name}.mp4", codec=codec, rounds=60)
    return folder


def write_clip(
    path: Path,
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    codec: str = "libx264",
    rounds: int = 1,
) -> Path:
    """The scene as an MP4, `rounds` times two seconds, with a key frame every half a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = 15
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
        # Slices of one key frame become several in GStreamer 1.22.
        if codec == "libx265":
            stream.options |= {"x265-params": "log-level=none:open-gop=0"}
        packets: list[av.Packet] = []
        for index in range(COUNT):
            frame = av.VideoFrame.from_ndarray(scene(index, width, height), "rgb24")
            frame.pts = index
            packets += stream.encode(frame)
        packets += stream.encode(None)
        kept = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number, (data, is_key) in enumerate(kept * rounds):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, is_key
            container.mux(packet)
    return path


def write_talk(
    path: Path, *, sound: str = "aac", seconds: int = 30, late: float = 0.0, longer: float = 0.0
) -> Path:
    """A dark picture that is white for 100 ms at each full second, when there is a beep as long.

    sound: its codec, mono, at 16 kHz, or for Opus 48. late: seconds of sound that are written after
    the pictures they belong to, as by phones. longer: seconds of sound after the last picture.
    """
    rate = 48_000 if sound == "libopus" else 16_000
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.gop_size = 15
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
        audio = container.add_stream(sound, rate=rate)
        audio.layout = "mono"
        packets: list[tuple[float, av.Packet]] = []
        for index in range(seconds * 30):
            level = 235 if index % 30 < 3 else 40
            picture = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH), level, np.uint8), "gray")
            picture.pts = index
            packets += [
                (index / 30, packet) for packet in video.encode(picture.reformat(format="yuv420p"))
            ]
        for index in range(round((seconds + longer) * 50)):
            samples = rate // 50
            times = (np.arange(samples) + index * samples) / rate
            wave = np.sin(times * 2 * np.pi * 440) * 12_000 * (times % 1 < 0.1)
            heard = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            heard.sample_rate, heard.pts = rate, index * samples
            heard.time_base = Fraction(1, rate)
            packets += [(index / 50 + late, packet) for packet in audio.encode(heard)]
        packets += [(seconds + longer + late, packet) for packet in audio.encode(None)]
        container.start_encoding()
        for _, packet in sorted(packets, key=lambda each: each[0]):
            container.mux_one(packet)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
