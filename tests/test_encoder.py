"""Encoders: what they promise about bitrate, keyframes and sizes, decoded again."""

import av
import pytest
from moving_pictures import moving_picture

from stream.egress import encoder
from stream.egress.encoder import CODECS, Encoded, Encoder, Target
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


def test_without_cuda_x264_encodes() -> None:
    assert encoder.h264_name() in ("libx264", "h264_nvenc")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(321, 241), (320, 241), (321, 240), (1, 1)])
def test_odd_sizes_are_encoded(codec: str, size: tuple[int, int]) -> None:
    made = encoder.make(codec)
    width, height = size
    encoded = made.encode(av.VideoFrame(width, height, "yuv420p"), 0, Target(CAP, CAP), True)
    assert encoded is not None
    sizes = zip(encoded.size, size, strict=True)
    assert all(side % 2 == 0 and abs(side - was) <= 1 for side, was in sizes)
