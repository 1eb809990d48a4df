"""The size of a PNG, JPEG or WebP picture, read from its header without decoding a pixel."""

import re
import struct

from stream.errors import MediaError

MARKER = re.compile(rb"\xff[^\x00\xff]")
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN = 0xDA
WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
"""TEM, RST0 to RST7 and SOI; ITU-T T.81 table B.1, as the markers above."""

MAX_SEGMENTS = 1000
"""JPEG segments before the frame header; a colour profile of 4 MiB takes 64."""


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises MediaError when `data` starts like none of the three."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        raise MediaError("picture ends within its header; send the whole file") from None
    raise MediaError("picture is neither PNG, JPEG nor WebP")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """ITU-T T.81 annex B."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(data, position)
        if found is None:
            raise IndexError
        marker, position = data[found.end() - 1], found.end()
        if marker in START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker == START_OF_SCAN:
            break
        if marker not in WITHOUT_LENGTH:
            position += struct.unpack_from(">H", data, position)[0]
    raise MediaError("JPEG picture has no frame header")


def _webp_size(data: bytes) -> tuple[int, int]:
    """RFC 9649 sections 2.5 to 2.7."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + _little(data[24:27]), 1 + _little(data[27:30])
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise MediaError("WebP picture has no picture chunk")


def _little(three: bytes) -> int:
    if len(three) < 3:
        raise IndexError
    return int.from_bytes(three, "little")
