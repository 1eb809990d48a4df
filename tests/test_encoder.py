"""Encoders: what they promise about bitrate, keyframes and sizes, decoded again."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from moving_pictures import moving_picture

from stream.compose.colour_space import BT601, BT709, ColourSpace
from stream.egress import encoder
from stream.egress.encoder import CODECS, Encoded, Encoder, Target
from stream.egress.jpeg import JpegEncoder
from stream.ingest.payload import is_keyframe

CAP = 2_000_000


def run(
    made: Encoder,
    target: Target,
    first: int,
    count: int,
    keys: tuple[int, ...] = (),
    width: int = 320,
) -> list[Encoded]:
    pictures = []
    for index in range(first, first + count):
        picture = moving_picture(index, width, width * 3 // 4)
        encoded = made.encode(picture, index * 3000, target, index in keys)
        assert encoded is not None
        pictures.append(encoded)
    return pictures


def kbps(pictures: list[Encoded]) -> float:
    return sum(len(each.data) for each in pictures) * 8 * 30 / len(pictures) / 1000


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_come_when_asked_for_and_else_never(codec: str) -> None:
    pictures = run(encoder.make(codec), Target(CAP, CAP), 0, 60, keys=(20, 41))
    assert [at for at, each in enumerate(pictures) if each.keyframe] == [0, 20, 41]
    for each in pictures:
        assert is_keyframe(codec, each.data) == each.keyframe


@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_can_be_decoded_at_once(codec: str) -> None:
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    made = encoder.make(codec)
    for index in range(20):
        [encoded] = run(made, Target(CAP, CAP), index, 1)
        [picture] = decoder.decode(av.Packet(encoded.data))
        was = moving_picture(index).to_ndarray()[:240].astype(int)
        assert abs(picture.to_ndarray()[:240].astype(int) - was).mean() < 6


def test_h264_follows_the_bitrate_without_a_keyframe() -> None:
    made = encoder.make("H264")
    high = run(made, Target(CAP, CAP), 0, 90)
    low = run(made, Target(500_000, CAP), 90, 120)
    again = run(made, Target(1_500_000, CAP), 210, 120)
    assert kbps(high[30:]) == pytest.approx(2000, rel=0.2)
    assert kbps(low[60:]) == pytest.approx(500, rel=0.2)
    assert 1000 < kbps(again[60:]) < 1600  # x264 comes up more slowly than it goes down
    assert sum(each.keyframe for each in high + low + again) == 1


def test_vp8_follows_the_bitrate_with_one() -> None:
    made = encoder.make("VP8")
    high = run(made, Target(CAP, CAP), 0, 60)
    slightly_lower = run(made, Target(int(CAP * 0.9), CAP), 60, 5)
    low = run(made, Target(800_000, CAP), 65, 120)
    soon_higher = run(made, Target(CAP, CAP), 185, 5)
    assert kbps(high[30:]) == pytest.approx(2000, rel=0.25)
    assert kbps(low[60:]) == pytest.approx(800, rel=0.25)
    assert sum(each.keyframe for each in high + slightly_lower) == 1
    assert [each.keyframe for each in low] == [True] + [False] * 119
    assert not any(each.keyframe for each in soon_higher)


def test_vp8_that_is_lowered_step_by_step_costs_one_keyframe_a_second() -> None:
    made = encoder.make("VP8")
    steps = (CAP, int(CAP * 0.75), int(CAP * 0.6))
    pictures = [run(made, Target(bitrate, CAP), at, 1)[0] for at, bitrate in enumerate(steps)]
    assert [each.keyframe for each in pictures] == [True, False, False]
    assert run(made, Target(CAP // 3, CAP), 3, 1)[0].keyframe, "this cannot wait"


@pytest.mark.parametrize("codec", CODECS)
def test_sizes_change_in_midstream(codec: str) -> None:
    made = encoder.make(codec)
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    sizes = []
    for width, scale in ((320, 1.0), (320, 1.0), (160, 1.0), (322, 0.5), (321, 0.5), (320, 1.0)):
        [encoded] = run(made, Target(CAP, CAP, scale=scale), len(sizes), 1, width=width // 4 * 4)
        [picture] = decoder.decode(av.Packet(encoded.data))
        assert encoded.size == (picture.width, picture.height)
        sizes.append((*encoded.size, encoded.keyframe))
    assert [size[:2] for size in sizes] == [(320, 240)] * 2 + [(160, 120)] * 3 + [(320, 240)]
    assert [size[2] for size in sizes] == [True, False, True, False, False, True]


def test_fast_is_another_preset_and_takes_a_keyframe() -> None:
    made = encoder.make("H264")
    run(made, Target(CAP, CAP), 0, 3)
    assert run(made, Target(CAP, CAP, fast=True), 3, 2)[0].keyframe


def test_without_cuda_x264_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "NVIDIA", Path("/dev/nothing-is-here"))
    assert encoder.h264_name.__wrapped__() == "libx264"


@pytest.mark.parametrize("good", [0, 3])
def test_x264_goes_on_when_nvenc_fails(monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """No machine here has one: x264 plays the part of a NVENC that opens and fails later."""
    create = encoder._create
    made: list[str] = []

    class Failing:
        """A context that encodes some pictures and then fails, as when the GPU is gone."""

        def __init__(self, context: Any) -> None:
            self._context = context
            self._left = good
            self.width, self.height = context.width, context.height
            self.bit_rate = context.bit_rate

        def encode(self, picture: av.VideoFrame) -> list[Any]:
            self._left -= 1
            if self._left < 0:
                raise av.error.ExternalError(542398533, "no capable devices found")
            return list(self._context.encode(picture))

    def record(name: str, *arguments: Any, **options: Any) -> Any:
        made.append(name)
        context = create("libx264", *arguments[:3], {"tune": "zerolatency"}, **options)
        return Failing(context) if name == "h264_nvenc" else context

    monkeypatch.setattr(encoder, "h264_name", lambda: "h264_nvenc")
    monkeypatch.setattr(encoder, "_create", record)
    pictures = run(encoder.make("H264"), Target(CAP, CAP), 0, 6)
    assert made == ["h264_nvenc", "libx264"]
    assert [at for at, each in enumerate(pictures) if each.keyframe] == sorted({0, good})


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(321, 241), (320, 241), (321, 240), (1, 1)])
def test_odd_sizes_are_encoded(codec: str, size: tuple[int, int]) -> None:
    made = encoder.make(codec)
    width, height = size
    encoded = made.encode(av.VideoFrame(width, height, "yuv420p"), 0, Target(CAP, CAP), True)
    assert encoded is not None
    sizes = zip(encoded.size, size, strict=True)
    assert all(side % 2 == 0 and abs(side - was) <= 1 for side, was in sizes)


ORANGE = "#e08020"


def flat(codes: tuple[int, int, int], matrix: int, full: bool) -> av.VideoFrame:
    """A picture of one colour, in 64x48."""
    pixels = np.concatenate(
        [np.full(64 * 48 // n, c) for n, c in zip((1, 4, 4), codes, strict=True)]
    )
    picture = av.VideoFrame.from_ndarray(pixels.astype(np.uint8).reshape(72, 64), "yuv420p")
    picture.colorspace, picture.color_range = matrix, ColorRange.JPEG if full else ColorRange.MPEG
    return picture


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("matrix", [BT709, BT601, 2])
def test_colours_come_out_as_they_went_in(codec: str, full: bool, matrix: int) -> None:
    """As a browser sees it: VP8 is BT.601 of limited range, and H.264 what it says it is."""
    named = BT601 if matrix == 2 else matrix  # small pictures are taken for BT.601
    weights = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}
    picture = flat(ColourSpace(*weights[named], full).codes(ORANGE), matrix, full)
    encoded = encoder.make(codec).encode(picture, 0, Target(CAP, CAP), True)
    assert encoded is not None
    decoder = av.CodecContext.create("h264" if codec == "H264" else "libvpx", "r")
    [shown] = decoder.decode(av.Packet(encoded.data))
    if codec == "H264":
        assert shown.colorspace == named
        assert shown.color_range == ColorRange.MPEG
    wanted = ColourSpace(*weights[named if codec == "H264" else BT601], full=False).codes(ORANGE)
    planes = np.split(shown.to_ndarray().reshape(-1), [64 * 48, 64 * 48 * 5 // 4])
    for plane, code in zip(planes, wanted, strict=True):
        assert abs(plane.mean() - code) < 2
    assert picture.color_range == (ColorRange.JPEG if full else ColorRange.MPEG), "it is shared"


def test_other_colours_are_told_with_a_keyframe() -> None:
    made = encoder.make("H264")
    keyframes = []
    for at, matrix in enumerate((BT601, BT601, BT709, BT709)):
        encoded = made.encode(
            flat((81, 90, 200), matrix, False), at * 3000, Target(CAP, CAP), False
        )
        assert encoded is not None
        keyframes.append(encoded.keyframe)
    assert keyframes == [True, False, True, False]


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("matrix", [BT709, BT601])
def test_a_jpeg_has_the_colours_of_its_picture(matrix: int, full: bool) -> None:
    weights = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}[matrix]
    picture = flat(ColourSpace(*weights, full).codes(ORANGE), matrix, full)
    data = np.frombuffer(JpegEncoder(64).encode(picture), np.uint8)
    shown = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB).reshape(-1, 3).mean(axis=0)
    assert np.abs(shown - [0xE0, 0x80, 0x20]).max() < 6
