import gc
import os
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from stream import limits
from stream.errors import LimitError, MediaError
from stream.frames import Frame
from stream.ingest.file import VideoFile
from stream.ingest.orientation import Upright
from tests import drawn_clips as clips


def read(path):
    with VideoFile(path) as source:
        return source, list(source)


def frames(items):
    return [item for item in items if isinstance(item, Frame)]


def bright(picture):
    """Box around what is bright: left, top, right, bottom."""
    luma = picture.to_ndarray(format="gray")
    rows, columns = np.nonzero(luma > 120)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_pictures_come_in_order_with_their_times(tmp_path):
    path = clips.make(tmp_path / "a.mp4", count=10)
    source, items = read(path)
    assert [frame.index for frame in frames(items)] == list(range(10))
    assert [frame.pts for frame in frames(items)] == [i * 1001 for i in range(10)]
    assert all(frame.time_base == Fraction(1, 30000) for frame in frames(items))
    assert all(frame.picture.pts == frame.pts for frame in frames(items))
    assert (source.format.width, source.format.height) == (160, 120)


def test_variable_times_and_a_late_start_are_kept(tmp_path):
    def pts(i):
        return 33 + i * 33 + (i % 3) * 11

    path = clips.make(tmp_path / "a.mkv", time_base=Fraction(1, 1000), pts=pts)
    source, items = read(path)
    assert [frame.pts for frame in frames(items)] == [pts(i) for i in range(12)]
    assert source.start == Fraction(33, 1000)


def test_properties(tmp_path):
    path = clips.make(tmp_path / "a.mp4", count=30, audio="aac", aspect=Fraction(4, 3))
    with VideoFile(path) as source:
        assert source.duration == pytest.approx(1, abs=0.01)
        assert source.frame_count == 30
        assert source.format.rate == pytest.approx(29.97, rel=0.01)
        assert source.format.sample_aspect_ratio == Fraction(4, 3)
        assert [stream.codec_context.name for stream in source.audio] == ["aac"]


def test_frame_count_of_a_file_without_index_is_estimated(tmp_path):
    path = clips.make(tmp_path / "a.mkv", count=30)
    with VideoFile(path) as source:
        assert source.frame_count == pytest.approx(30, abs=1)


def test_the_first_picture_comes_before_the_sound(tmp_path):
    path = clips.make(tmp_path / "a.mp4", audio="aac", pts=lambda i: 9009 + i * 1001)
    with VideoFile(path) as source:
        first, *rest = source
        assert isinstance(first, Frame)
        sound = [item for item in rest if isinstance(item, av.Packet)]
        assert len(sound) >= 18
        assert all(packet.stream is source.audio[0] for packet in sound)


@pytest.mark.parametrize(
    ("rotation", "mirror", "box"),
    [
        (0, False, (40, 40, 80, 80)),
        (90, False, (40, 80, 80, 120)),
        (-90, False, (40, 40, 80, 80)),
        (180, False, (80, 40, 120, 80)),
        (0, True, (80, 40, 120, 80)),
        (180, True, (40, 40, 80, 80)),
        (90, True, (40, 80, 80, 120)),
        (-90, True, (40, 40, 80, 80)),
    ],
)
def test_pictures_are_turned_as_a_person_sees_them(tmp_path, rotation, mirror, box):
    path = clips.make(tmp_path / "a.mp4", count=3, rotation=rotation, mirror=mirror)
    source, items = read(path)
    first = frames(items)[0].picture
    size = (120, 160) if abs(rotation) == 90 else (160, 120)
    assert (first.width, first.height) == size == (source.format.width, source.format.height)
    assert bright(first) == pytest.approx(box, abs=2)
    assert first.rotation == 0
    assert [frame.pts for frame in frames(items)] == [0, 1001, 2002]


def test_a_turned_picture_is_what_players_show(tmp_path):
    """The upper half of the square is the brighter one; a quarter turn left puts it left."""
    path = clips.make(tmp_path / "a.mp4", count=1, rotation=90)
    picture = frames(read(path)[1])[0].picture.to_ndarray(format="gray")
    assert picture[100, 45] > picture[100, 75] + 10
    path = clips.make(tmp_path / "b.mp4", count=1, rotation=-90)
    picture = frames(read(path)[1])[0].picture.to_ndarray(format="gray")
    assert picture[60, 75] > picture[60, 45] + 10


def test_a_turn_swaps_the_pixels_aspect(tmp_path):
    path = clips.make(tmp_path / "a.mp4", count=2, rotation=90, aspect=Fraction(4, 3))
    with VideoFile(path) as source:
        assert source.format.sample_aspect_ratio == Fraction(3, 4)


def test_colour_tags_and_odd_sizes_are_kept(tmp_path):
    path = clips.make(
        tmp_path / "a.mkv", width=161, height=121, video="ffv1", colours={"color_range": 2}
    )
    source, items = read(path)
    first = frames(items)[0].picture
    assert (first.width, first.height) == (161, 121)
    assert first.color_range == 2
    assert (source.format.width, source.format.height) == (161, 121)


def test_pictures_that_change_size_are_brought_to_the_first_size(tmp_path):
    small = clips.make(tmp_path / "a.ts", count=5)
    large = clips.make(tmp_path / "b.ts", count=5, width=320, height=240)
    joined = tmp_path / "c.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    found = frames(read(joined)[1])
    assert len(found) > 5
    assert {(frame.width, frame.height) for frame in found} == {(160, 120)}
    pts = [frame.pts for frame in found]
    assert all(a < b for a, b in pairwise(pts))


def test_a_broadcast_starts_at_zero(tmp_path):
    path = clips.make(
        tmp_path / "a.ts", time_base=Fraction(1, 90000), pts=lambda i: 900000 + i * 3003
    )
    found = frames(read(path)[1])
    assert [frame.pts for frame in found] == [i * 3003 for i in range(12)]


def test_a_real_clip_with_sound(tmp_path):
    path = clips.beginning(clips.VIDEO / "objects" / "01_dog.mp4", tmp_path / "dog.mp4", 0.7)
    source, items = read(path)
    assert [frame.pts for frame in frames(items)] == [
        picture.pts for picture in clips.pictures(path)
    ]
    assert (source.format.width, source.format.height) == (1280, 720)
    assert len(source.audio) == 1


def test_a_real_clip_of_full_range():
    with VideoFile(clips.VIDEO / "webcam" / "walk.mkv") as source:
        first = next(iter(source))
        assert isinstance(first, Frame)
        assert first.picture.format.name == "yuvj420p"


def damaged(path, **_):
    with pytest.raises(MediaError) as caught:
        read(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_a_missing_file(tmp_path):
    assert "no such file" in damaged(tmp_path / "none.mp4")


def test_a_folder(tmp_path):
    assert "folder" in damaged(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert "empty" in damaged(tmp_path / "a.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = clips.make(tmp_path / "a.mp4")
    path.chmod(0)
    assert "permission" in damaged(path)


@pytest.mark.parametrize("name", ["a.txt", "a.mp4"])
def test_text(tmp_path, name):
    (tmp_path / name).write_text("no video\n" * 300)
    assert "no video" in damaged(tmp_path / name)


def test_a_playlist_does_not_open_other_files(tmp_path):
    clips.make(tmp_path / "a.ts")
    (tmp_path / "a.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "b.ffconcat").write_text("ffconcat version 1.0\nfile a.ts\n")
    damaged(tmp_path / "a.m3u8")
    damaged(tmp_path / "b.ffconcat")


def test_noise(tmp_path):
    (tmp_path / "a.mp4").write_bytes(np.random.default_rng(1).bytes(50000))
    damaged(tmp_path / "a.mp4")


def test_a_picture(tmp_path):
    with av.open(str(tmp_path / "a.png"), "w", format="image2") as container:
        stream = container.add_stream("png", width=32, height=32)
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame(32, 32, "rgb24")))
        container.mux(stream.encode(None))
    damaged(tmp_path / "a.png")


def test_sound_only(tmp_path):
    assert "sound but no video" in damaged(clips.sound_only(tmp_path / "a.m4a"))


def test_a_songs_cover_is_no_video(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48000)
        cover = container.add_stream("mjpeg", rate=1, width=32, height=32)
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame(32, 32, "yuvj420p")))
        for i in range(5):
            container.mux(sound.encode(clips.tone(i)))
        container.mux([*cover.encode(None), *sound.encode(None)])
    assert "sound but no video" in damaged(path)


def test_a_name_that_looks_like_an_address(tmp_path):
    path = clips.make(tmp_path / "a.mp4").rename(tmp_path / "http:a.mp4")
    assert len(frames(read(path)[1])) == 12


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {}), ("a.mov", {"movflags": "faststart"})],
)
@pytest.mark.parametrize("audio", [None, "aac"])
def test_a_cut_off_file_says_how_far_it_goes(tmp_path, name, options, audio):
    whole = clips.make(tmp_path / name, count=90, options=options, audio=audio)
    message = damaged(clips.cut(whole, tmp_path / f"cut-{name}", 0.5))
    assert "cut off" in message
    assert "pictures" in message


def test_a_file_cut_off_before_its_index(tmp_path):
    whole = clips.make(tmp_path / "a.mp4")
    damaged(clips.cut(whole, tmp_path / "b.mp4", 0.6))


def test_what_was_read_before_the_damage_is_given(tmp_path):
    whole = clips.make(tmp_path / "a.mp4", count=90, options={"movflags": "faststart"})
    path = clips.cut(whole, tmp_path / "b.mp4", 0.6)
    found = []
    with VideoFile(path) as source, pytest.raises(MediaError) as caught:
        found.extend(source)
    assert 0 < len(found) < 90
    assert f"({len(found)} pictures)" in str(caught.value)


@pytest.mark.parametrize("seed", range(12))
def test_damage_in_the_middle_never_crashes(tmp_path, seed):
    whole = clips.make(tmp_path / "a.mp4", count=40, options={"movflags": "faststart"})
    broken = bytearray(whole.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(40, len(broken), 60):
        broken[at] = random.integers(256)
    path = tmp_path / "b.mp4"
    path.write_bytes(broken)
    with suppress(MediaError, LimitError):
        read(path)


def test_pictures_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_SIDE", 100)
    path = clips.make(tmp_path / "a.mp4")
    with pytest.raises(LimitError, match="160x120"):
        VideoFile(path)


def test_pictures_are_freed_without_the_garbage_collector(tmp_path):
    """A camera that plays a film again and again kept one more each time, and two threads on it."""
    path = clips.make(tmp_path / "film.mp4", count=4)

    def left():
        with VideoFile(path) as file:
            assert sum(isinstance(item, Frame) for item in file) == 4
        del file
        return sum(type(each) is av.VideoFrame for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        assert left() == left()
    finally:
        gc.enable()


def test_a_camera_that_is_turned_in_mid_recording_is_followed(tmp_path):
    """Each picture by its own display matrix, all of the first one's size."""
    level = clips.pictures(clips.make(tmp_path / "a.mp4", count=2))
    turned = clips.pictures(clips.make(tmp_path / "b.mp4", count=2, rotation=90))
    upside_down = clips.pictures(clips.make(tmp_path / "c.mp4", count=2, rotation=180))
    for first, later in ((level, turned), (turned, upside_down), (upside_down, turned)):
        upright = Upright(first[0])
        size = upright.turn(first[0])
        wanted = Upright(later[0]).turn(later[0]).reformat(size.width, size.height)
        for one in later:
            made = upright.turn(one)
            assert (made.width, made.height) == (size.width, size.height)
        apart = upright.turn(later[0]).to_ndarray(format="gray").astype(int)
        apart -= wanted.to_ndarray(format="gray")
        assert np.abs(apart).mean() < 2
