"""Videos uploaded as a background: read as what they say they are, and as nothing else."""

import io
import socket
import time
from pathlib import Path

import av
import numpy as np
import pytest
from test_job_process import huge

from stream.compose import moving
from stream.errors import LimitError, MediaError


def video(kind: str, codec: str, width: int = 64, height: int = 48, count: int = 5) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=10, width=width, height=height)
        stream.pix_fmt = "yuv420p"
        for index in range(count):
            picture = av.VideoFrame.from_ndarray(
                np.full((height, width, 3), 40 * index, np.uint8), "rgb24"
            )
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx"), ("matroska", "libx264")],
)
def test_the_kinds_that_are_taken(kind: str, codec: str) -> None:
    data = video(kind, codec)
    assert moving.is_video(data)
    pictures, rate = moving.load(data)
    assert pictures.shape == (5, 48, 64, 3)
    assert rate == 10


def test_what_only_begins_like_a_video_makes_the_server_connect_to_nobody() -> None:
    """FFmpeg would take this for SDP, open the ports that it names, and wait for packets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1] & ~1
    data = (
        "aaaaftypjp2 \nv=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {number} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ).encode()
    assert moving.is_video(data)
    began = time.monotonic()
    with pytest.raises(MediaError, match="damaged"):
        moving.load(data)
    assert time.monotonic() - began < 2


def test_a_picture_that_is_too_large_is_not_decoded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video("mp4", "libx264", 640, 480, 1)
    begin = data.index(b"mdat") + 4
    broken = data[:begin] + bytes(data.index(b"moov") - 4 - begin) + data[data.index(b"moov") - 4 :]
    with pytest.raises(MediaError, match="damaged"):
        moving.load(broken)
    monkeypatch.setattr("stream.limits.MAX_SIDE", 320)
    with pytest.raises(LimitError, match="320 pixels a side"):
        moving.load(broken)


def test_a_later_picture_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    """Its size stands in no header: the decoder itself has to refuse it."""
    with pytest.raises(MediaError, match="damaged"):
        moving.load(huge(tmp_path / "grows.mov", first=160).read_bytes())


def test_a_codec_that_nobody_knows() -> None:
    with pytest.raises(MediaError, match="codec"):
        moving.load(video("mp4", "libx264").replace(b"avc1", b"zzzz"))
