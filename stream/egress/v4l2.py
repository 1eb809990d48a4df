"""A video device that takes pictures, as v4l2loopback makes them: what other programs see as a
camera. By the system's own calls (linux/videodev2.h), for which no library is needed."""

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from stream.errors import InputError

OUTPUT = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT: of v4l2_format."""

CAN_OUTPUT = 0x00000002
HAS_DEVICE_CAPS = 0x80000000
"""V4L2_CAP_VIDEO_OUTPUT, and V4L2_CAP_DEVICE_CAPS: of v4l2_capability."""

FIELD_NONE = 1
COLORSPACE_SMPTE170M, COLORSPACE_REC709 = 1, 3
YUV420 = int.from_bytes(b"YU12", "little")
"""Y, U and V one after the other: as FFmpeg's yuv420p without gaps."""

CAPABILITY = struct.Struct("=16s32s32sIII3I")
"""v4l2_capability: driver, card, bus, version, capabilities, device_caps, reserved."""

FORMAT = struct.Struct("@I4x12I152x" if struct.calcsize("P") == 8 else "=I12I152x")
"""v4l2_format: type, then a union, aligned as pointers are, of 200 bytes, here v4l2_pix_format:
width, height, pixelformat, field, bytesperline, sizeimage, colorspace, priv, flags, ycbcr_enc,
quantization, xfer_func."""

HD = 576
"""Rows above which a picture's colours are those of HDTV."""

MODPROBE = "modprobe v4l2loopback video_nr=10 exclusive_caps=1"

Ioctl = Callable[[int, int, bytearray], object]


def request(direction: int, number: int, size: int) -> int:
    """The number of an ioctl of V4L2's (asm-generic/ioctl.h); direction: 2 read, 3 both ways."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


VIDIOC_QUERYCAP = request(2, 0, CAPABILITY.size)
VIDIOC_S_FMT = request(3, 5, FORMAT.size)


def image_size(width: int, height: int) -> int:
    """Bytes of a picture; the sides are even."""
    return width * height * 3 // 2


def pack_format(width: int, height: int) -> bytearray:
    """The v4l2_format of a picture in YUV 4:2:0."""
    colours = COLORSPACE_REC709 if height > HD else COLORSPACE_SMPTE170M
    size = image_size(width, height)
    return bytearray(
        FORMAT.pack(OUTPUT, width, height, YUV420, FIELD_NONE, width, size, colours, 0, 0, 0, 0, 0)
    )


def check(path: str) -> None:
    """That a device exists and takes pictures. Raises InputError."""
    os.close(open_output(path))


def open_output(path: str, ioctl: Ioctl = fcntl.ioctl) -> int:
    """A file descriptor that pictures can be written to. Raises InputError.

    ioctl: the system's; tests have another, for they have no device.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            raise InputError(f"there is no device {path}; make one: {MODPROBE}") from error
        why = (error.strerror or "it cannot be opened").lower()
        raise InputError(f"{path} cannot be written to: {why}; is it in use?") from error
    try:
        capability = bytearray(CAPABILITY.size)
        try:
            ioctl(descriptor, VIDIOC_QUERYCAP, capability)
        except OSError as error:
            raise InputError(f"{path} is no video device; make one: {MODPROBE}") from error
        _, _, _, _, all_of_it, own, *_ = CAPABILITY.unpack(capability)
        able = own if all_of_it & HAS_DEVICE_CAPS else all_of_it
        if not able & CAN_OUTPUT:
            raise InputError(f"{path} takes no pictures, it gives some; make one: {MODPROBE}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def set_format(descriptor: int, width: int, height: int, ioctl: Ioctl = fcntl.ioctl) -> None:
    """Tell what will be written. Raises InputError when the device wants it otherwise."""
    wanted = pack_format(width, height)
    try:
        ioctl(descriptor, VIDIOC_S_FMT, wanted)
    except OSError as error:
        why = (error.strerror or "refused").lower()
        raise InputError(f"the device takes no {width}x{height} in YU12: {why}") from error
    _, *answered = FORMAT.unpack(wanted)
    size = answered[5]
    if tuple(answered[:3]) != (width, height, YUV420) or size != image_size(width, height):
        raise InputError(
            f"the device keeps another format than {width}x{height} in YU12; is another program "
            "reading it? Its format changes when all have closed it"
        )


def write(descriptor: int, picture: bytes | memoryview) -> None:
    """One whole picture. Raises OSError."""
    if (count := os.write(descriptor, picture)) != len(picture):
        raise OSError(errno.EIO, f"{count} of {len(picture)} bytes were taken")
