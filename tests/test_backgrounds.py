import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest

from stream import limits
from stream.compose import backgrounds, image_header
from stream.compose.draw_backgrounds import SCENES, draw
from stream.errors import EffectError, LimitError, MediaError

WIDTH, HEIGHT = 123, 77
PICTURE = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), (WIDTH, HEIGHT)
)
PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
LOSSY, LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 90], [cv2.IMWRITE_WEBP_QUALITY, 101]
KINDS = [
    (".png", [], 0),
    (".jpg", [], 16),
    (".jpg", PROGRESSIVE, 16),
    (".webp", LOSSY, 40),
    (".webp", LOSSLESS, 0),
]


def encode(extension, picture=PICTURE, options=()):
    """RGB (or RGBA, or grey) to the bytes of a file."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, order[picture.shape[2]])
    return cv2.imencode(extension, picture, list(options))[1].tobytes()


def tiff_with_orientation(value):
    entry = struct.pack("<HHIHH", 0x112, 3, 1, value, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)


def png_chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png_header(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def oriented_jpeg(value, data=None):
    data = data or encode(".jpg")
    exif = b"Exif\0\0" + tiff_with_orientation(value)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def extended_webp(width, height, rest):
    """RFC 9649 section 2.7: a VP8X chunk, then the picture's own."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + size + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_there_are_four_pictures_of_full_hd():
    assert backgrounds.names() == tuple(sorted(SCENES))
    assert len(backgrounds.names()) == 4
    for name in backgrounds.names():
        assert backgrounds.path(name).stat().st_size < 200_000
        picture = backgrounds.load(name)
        assert picture.shape == (1080, 1920, 3)
        assert picture.dtype == np.uint8


@pytest.mark.parametrize("name", sorted(SCENES))
def test_pictures_are_what_the_script_draws(name):
    drawn = draw(name, 270)
    assert np.array_equal(draw(name, 90), draw(name, 90))
    kept = cv2.resize(backgrounds.load(name), (480, 270), interpolation=cv2.INTER_AREA)
    assert np.abs(kept.astype(int) - drawn).mean() < 2


@pytest.mark.parametrize("name", ["", "beach", "../room", "room.jpg", "/etc/passwd", "room\0"])
def test_unknown_picture_names_the_known_ones(name):
    with pytest.raises(EffectError, match="dawn, lights, mountains, room"):
        backgrounds.path(name)
    with pytest.raises(EffectError):
        backgrounds.load(name)


@pytest.mark.parametrize(("extension", "options", "tolerance"), KINDS)
def test_decode_gives_rgb(extension, options, tolerance):
    data = encode(extension, options=options)
    assert image_header.size(data) == (WIDTH, HEIGHT)
    decoded = backgrounds.decode(data)
    assert decoded.dtype == np.uint8
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(decoded.astype(int) - PICTURE).max() <= tolerance


def test_grey_deep_and_transparent_pictures_become_rgb():
    grey = backgrounds.decode(encode(".png", PICTURE[..., 0].copy()))
    assert np.array_equal(grey, np.dstack([PICTURE[..., 0]] * 3))
    deep = backgrounds.decode(encode(".png", PICTURE.astype(np.uint16) * 257))
    assert np.array_equal(deep, PICTURE)
    opaque = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for extension in (".png", ".webp"):
        data = encode(extension, np.dstack([PICTURE, opaque]), LOSSLESS)
        assert np.array_equal(backgrounds.decode(data), PICTURE)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, lambda p: p), (3, lambda p: p[::-1, ::-1]), (6, lambda p: np.rot90(p, -1)), (8, np.rot90)],
)
def test_pictures_are_turned_upright(orientation, turned):
    expected = turned(backgrounds.decode(encode(".jpg")))
    assert np.array_equal(backgrounds.decode(oriented_jpeg(orientation)), expected)
    data = encode(".png")
    end_of_header = len(png_header(1, 1))
    orientation_chunk = png_chunk(b"eXIf", tiff_with_orientation(orientation))
    data = data[:end_of_header] + orientation_chunk + data[end_of_header:]
    assert np.array_equal(backgrounds.decode(data), turned(PICTURE))


@pytest.mark.parametrize(
    "data",
    [
        png_header(limits.MAX_SIDE + 1, 1),
        png_header(1, 2**31 - 1),
        b"\xff\xd8\xff\xc0" + struct.pack(">HBHH", 17, 8, 5000, 60000) + bytes(20),
        b"\xff\xd8\xff\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, 5000, 60000) + bytes(20),
        oriented_jpeg(1, b"\xff\xd8\xff\xc2" + struct.pack(">HBHH", 17, 8, 9, 60000) + bytes(20)),
        extended_webp(2**24, 2**24, b""),
        b"RIFF\0\0\0\0WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, 16382 | 100 << 14),
        b"RIFF\0\0\0\0WEBPVP8 " + bytes(4) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 9),
        bytes(limits.MAX_BACKGROUND + 1),
    ],
)
def test_too_large_is_refused_before_decoding(data, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("pixels were decoded"))
    with pytest.raises(LimitError):
        backgrounds.decode(data)


def test_second_header_cannot_smuggle_in_a_larger_picture():
    """Only the first size is looked at, so the decoder must not follow another one."""
    large = np.zeros((300, 400, 3), np.uint8)
    webp = encode(".webp", large, LOSSY)
    jpeg = encode(".jpg", large)
    small_frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 9, 16, 3) + b"\1\x11\0\2\x11\1\3\x11\1"
    png = png_header(16, 9) + encode(".png", large)[8:]
    for data in (extended_webp(16, 9, webp[12:]), jpeg[:2] + small_frame + jpeg[2:], png):
        assert image_header.size(data) == (16, 9)
        with contextlib.suppress(MediaError):
            assert backgrounds.decode(data).shape == (9, 16, 3)


def test_jpeg_of_endless_scans_is_refused():
    data = encode(".jpg", options=PROGRESSIVE)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(LimitError, match="scans"):
        backgrounds.decode(data[:-2] + scan * limits.MAX_JPEG_SCANS + data[-2:])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(100),
        b"BM" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff" * 100_000,
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 100_000,
        b"\xff\xd8" + b"\xff" * 100_000,
        b"\xff\xd8\xff\xda\0\0",
        png_header(0, 10),
        png_header(10, 10),
        b"RIFF\0\0\0\0WEBP",
        b"RIFF\0\0\0\0WEBPEXIF" + bytes(40),
        extended_webp(10, 10, b""),
    ],
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(MediaError):
        backgrounds.decode(data)


@pytest.mark.parametrize(("extension", "options", "tolerance"), KINDS)
def test_damaged_files_end_in_a_documented_error(extension, options, tolerance):
    data = bytearray(encode(extension, options=options))
    random = np.random.default_rng(7)
    for length in range(0, len(data), max(1, len(data) // 40)):
        with pytest.raises(MediaError):
            backgrounds.decode(bytes(data[:length]))
    for _ in range(60):
        broken = bytearray(data)
        for at in random.integers(0, min(len(data), 400), 3):
            broken[at] = random.integers(256)
        with contextlib.suppress(MediaError, LimitError):
            assert backgrounds.decode(bytes(broken)).shape[2] == 3
