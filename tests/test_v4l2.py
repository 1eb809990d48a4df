"""The virtual camera, without a device: what is told to the driver, and what is written to it."""

import errno
import json
import mmap
import os
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.egress import v4l2, virtual_camera
from stream.errors import InputError


def test_the_calls_are_those_of_the_header() -> None:
    """The numbers are what gcc made of linux/videodev2.h, on x86-64."""
    if struct.calcsize("P") != 8:
        pytest.skip("other sizes hold where pointers have 4 bytes")
    assert (v4l2.FORMAT.size, v4l2.CAPABILITY.size) == (208, 104)
    assert (v4l2.VIDIOC_S_FMT, v4l2.VIDIOC_QUERYCAP) == (0xC0D05605, 0x80685600)
    assert v4l2.YUV420 == 0x32315559
    packed = v4l2.pack_format(1280, 720)
    at = {0: 2, 8: 1280, 12: 720, 16: 0x32315559, 20: 1, 24: 1280, 28: 1_382_400, 32: 3, 52: 0}
    for offset, value in at.items():
        assert struct.unpack_from("=I", packed, offset) == (value,), offset
    assert struct.unpack_from("=I", v4l2.pack_format(640, 480), 32) == (1,), "BT.601 below HD"


class Driver:
    """Stands for the kernel: answers ioctl as a driver with these capabilities would."""

    def __init__(self, capabilities: int = 0, device: int = 0, format: bytes | None = None) -> None:
        self.capabilities, self.device, self.format = capabilities, device, format
        self.told: bytes = b""

    def __call__(self, descriptor: int, request: int, data: bytearray) -> int:
        if request == v4l2.VIDIOC_QUERYCAP:
            struct.pack_into("=II", data, 84, self.capabilities, self.device)
            return 0
        assert request == v4l2.VIDIOC_S_FMT
        self.told = bytes(data)
        if self.format is not None:
            data[:] = self.format
        return 0


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "device"
    path.touch()
    return str(path)


@pytest.mark.parametrize(
    ("driver", "text"),
    [
        (Driver(0x1), "takes no pictures"),  # a webcam
        (Driver(0x80000003, 0x1), "takes no pictures"),  # its other node could
    ],
)
def test_devices_that_are_refused(file: str, driver: Driver, text: str) -> None:
    with pytest.raises(InputError, match=text):
        v4l2.open_output(file, driver)


@pytest.mark.parametrize("driver", [Driver(0x2), Driver(0x80000001, 0x2)])
def test_devices_that_are_taken(file: str, driver: Driver) -> None:
    os.close(v4l2.open_output(file, driver))


def test_what_is_no_device(file: str) -> None:
    files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InputError, match="modprobe v4l2loopback"):
        v4l2.check("/dev/video999")
    with pytest.raises(InputError, match=r"no video device.*modprobe"):
        v4l2.check(file)
    with pytest.raises(InputError, match="cannot be written to"):
        v4l2.check("/proc/self/status/x")
    assert len(os.listdir("/proc/self/fd")) == files


def test_the_format_must_be_taken_as_it_is() -> None:
    driver = Driver()
    v4l2.set_format(3, 640, 480, driver)
    assert driver.told == v4l2.pack_format(640, 480)
    with pytest.raises(InputError, match="keeps another format"):
        v4l2.set_format(3, 640, 480, Driver(format=bytes(v4l2.pack_format(320, 240))))

    def refuses(*_: Any) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    with pytest.raises(InputError, match="busy"):
        v4l2.set_format(3, 640, 480, refuses)


def test_pictures_are_written_whole_and_their_size_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device"
    path.touch()
    formats: list[tuple[int, int]] = []
    flags = os.O_WRONLY | os.O_APPEND
    monkeypatch.setattr(v4l2, "open_output", lambda device: os.open(device, flags))
    monkeypatch.setattr(
        v4l2, "set_format", lambda _, width, height: formats.append((width, height))
    )
    memory = mmap.mmap(-1, virtual_camera.MEMORY)
    pictures = []
    for width, height in ((64, 48), (65, 49), (32, 16)):
        pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
        pictures.append(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p"))

    def lines() -> Any:
        for picture in pictures:
            yield json.dumps(virtual_camera.copy(picture, memory)).encode()

    assert list(virtual_camera.serve(str(path), memory, lines())) == ["ok"] * 3
    assert formats == [(64, 48), (32, 16)], "65x49 is cut to even sides"
    written = path.read_bytes()
    assert len(written) == 2 * (64 * 48 * 3 // 2) + 32 * 16 * 3 // 2
    assert written[: 64 * 48 * 3 // 2] == pictures[0].to_ndarray().tobytes()
    luma = np.frombuffer(written, np.uint8, 64 * 48, 64 * 48 * 3 // 2).reshape(48, 64)
    plane = np.frombuffer(pictures[1].planes[0], np.uint8)  # type: ignore[call-overload]
    plane = plane.reshape(49, pictures[1].planes[0].line_size)[:48, :64]
    assert (luma == plane).all()


def test_what_the_device_refuses_is_answered(tmp_path: Path) -> None:
    memory = mmap.mmap(-1, virtual_camera.MEMORY)
    [answer] = virtual_camera.serve("/dev/video999", memory, iter([b"[64, 48]"]))
    assert "modprobe v4l2loopback" in answer
