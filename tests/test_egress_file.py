import os
import stat
from fractions import Fraction

import av
import numpy as np
import pytest

from stream.compose.planes import Planes
from stream.egress.file import VideoWriter, check_writable
from stream.errors import MediaError
from stream.frames import Frame
from stream.ingest.file import VideoFile
from tests import drawn_clips as clips


def copy(source_path, target_path, **options):
    """Write every picture and all sound of one file into another, without an effect."""
    with (
        VideoFile(source_path) as source,
        VideoWriter(target_path, source.format, source.audio, **options) as writer,
    ):
        for item in source:
            if isinstance(item, Frame):
                writer.write(yuv420p(item.picture))
            else:
                writer.write_audio(item)
    return target_path


def yuv420p(picture):
    copy = picture.reformat(format="yuv420p")
    copy.pts, copy.duration = picture.pts, picture.duration
    copy.time_base = picture.time_base
    return copy


def first_stream(path, kind):
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return stream.codec_context.codec.canonical_name, stream.time_base


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def interrupted(writer, picture, holds=lambda: True):
    with writer:
        writer.write(picture)
        assert holds()
        raise KeyboardInterrupt


def irregular(i):
    return 1001 + i * 1001 + (i % 3) * 7


@pytest.mark.parametrize("ending", ["mp4", "mov", "m4v"])
@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 30000), lambda i: i * 1001),
        (Fraction(1, 30000), irregular),
        (Fraction(1, 1000), lambda i: 33 + i * 33 + (i % 2) * 9),
        (Fraction(1, 90000), lambda i: 7 + i * i * 100),
        (Fraction(1, 12288), lambda i: 5 + i * 512),
    ],
)
@pytest.mark.parametrize("audio", [None, "aac"])
def test_mp4_and_mov_keep_times_exactly(tmp_path, ending, time_base, pts, audio):
    source = clips.make(
        tmp_path / "in.mp4",
        time_base=time_base,
        pts=pts,
        audio=audio,
        options={
            "video_track_timescale": str(time_base.denominator),
            "movie_timescale": str(time_base.denominator),
        },
    )
    with av.open(str(source)) as container:
        expected = [picture.pts for picture in container.decode(video=0)]
    assert expected == [pts(i) for i in range(12)]
    target = copy(source, tmp_path / f"out.{ending}")
    assert [picture.pts for picture in clips.pictures(target)] == expected
    assert first_stream(target, "video") == ("h264", time_base)


@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_matroska_keeps_times_to_the_millisecond(tmp_path, ending):
    source = clips.make(tmp_path / "in.mp4", pts=irregular, audio="aac")
    target = copy(source, tmp_path / f"out.{ending}")
    pairs = zip(clips.times(source), clips.times(target), strict=True)
    assert all(abs(a - b) <= Fraction(1, 2000) for a, b in pairs)


def test_matroska_to_mp4_and_back_keeps_times_exactly(tmp_path):
    source = clips.make(
        tmp_path / "in.mkv", time_base=Fraction(1, 1000), pts=lambda i: 33 + i * 33 + i % 2
    )
    there = copy(source, tmp_path / "there.mp4")
    back = copy(there, tmp_path / "back.mkv")
    assert clips.times(source) == clips.times(there) == clips.times(back)


def test_the_last_picture_lasts_as_long_as_in_the_source(tmp_path):
    source = clips.beginning(clips.VIDEO / "objects" / "04_coffee.mp4", tmp_path / "in.mp4", 0.5)
    target = copy(source, tmp_path / "out.mp4")
    assert clips.pictures(target)[-1].duration == clips.pictures(source)[-1].duration == 1001


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_sound_is_copied_as_it_is(tmp_path, ending):
    source = clips.beginning(clips.VIDEO / "objects" / "01_dog.mp4", tmp_path / "in.mp4", 0.5)
    target = copy(source, tmp_path / f"out.{ending}")
    before, after = clips.packets(source), clips.packets(target)
    assert [data for data, _ in before] == [data for data, _ in after]
    drift = [abs(a - b) for (_, a), (_, b) in zip(before, after, strict=True)]
    assert max(drift) <= (Fraction(1, 1000) if ending == "mkv" else 0)
    times = zip(clips.times(source), clips.times(target), strict=True)
    assert max(abs(a - b) for a, b in times) <= (Fraction(1, 1000) if ending == "mkv" else 0)


def heard(path):
    """All samples as mono float, and the time of the first, in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate(
        [frame.to_ndarray().astype(np.float64).reshape(-1, frame.samples)[0] for frame in frames]
    )
    return samples, frames[0].time, frames[0].sample_rate


@pytest.mark.parametrize(
    ("source_codec", "source_ending", "ending", "codec"),
    [
        ("pcm_s16le", "mkv", "mp4", "aac"),
        ("aac", "mp4", "webm", "opus"),
        ("libopus", "mkv", "mov", "aac"),
    ],
)
def test_sound_that_does_not_fit_is_coded_anew(
    tmp_path, source_codec, source_ending, ending, codec
):
    source = clips.make(tmp_path / f"in.{source_ending}", count=30, audio=source_codec)
    target = copy(source, tmp_path / f"out.{ending}")
    assert first_stream(target, "audio")[0] == codec
    samples, start, rate = heard(target)
    assert len(samples) / rate == pytest.approx(1, abs=0.06)
    assert start == pytest.approx(0, abs=0.03)
    spectrum = np.abs(np.fft.rfft(samples[: rate // 2] * np.hanning(rate // 2)))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


@pytest.mark.parametrize(("ending", "exact"), [("mp4", 0.001), ("webm", 0.02)])
def test_sound_that_starts_late_still_does_when_coded_anew(tmp_path, ending, exact):
    source = clips.make(tmp_path / "in.mkv", count=30, audio="pcm_s16le", audio_start=15)
    _, before, _ = heard(source)
    assert before == 0.5
    samples, after, _ = heard(copy(source, tmp_path / f"out.{ending}"))
    silent = np.argmax(np.abs(samples) > 0.02) / 48000
    assert after + silent == pytest.approx(before, abs=0.005 + exact)


def test_damaged_sound_is_named_as_the_sources_fault(tmp_path):
    source = clips.make(tmp_path / "in.mkv", count=30, audio="flac")
    with VideoFile(source) as video:
        writer = VideoWriter(tmp_path / "out.webm", video.format, video.audio)
        first, *rest = video
        writer.write(yuv420p(first.picture))
        good, bad, *_ = (item for item in rest if isinstance(item, av.Packet))
        bad.update(b"\x00" * bad.size)
        writer.write_audio(good)
        with pytest.raises(MediaError, match=r"the sound at 0\.\d\d s cannot be decoded"):
            writer.write_audio(bad)
        writer.abort()
    assert leftovers(tmp_path) == []


def test_several_sound_streams_and_their_languages(tmp_path):
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=30, width=64, height=64)
        video.pix_fmt = "yuv420p"
        sounds = [container.add_stream(codec, rate=48000) for codec in ("aac", "pcm_s16le")]
        for sound, language in zip(sounds, ("deu", "fra"), strict=True):
            sound.metadata["language"] = language
        for i in range(10):
            container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
            for sound in sounds:
                container.mux(sound.encode(clips.tone(i)))
        for stream in (video, *sounds):
            container.mux(stream.encode(None))
    target = copy(source, tmp_path / "out.mp4")
    with av.open(str(target)) as container:
        assert [s.codec_context.name for s in container.streams.audio] == ["aac", "aac"]
        assert [s.language for s in container.streams.audio] == ["deu", "fra"]


@pytest.mark.parametrize("full", [False, True])
def test_colour_tags_and_pixel_aspect(tmp_path, full):
    source = clips.make(
        tmp_path / "in.mp4",
        aspect=Fraction(4, 3),
        colours={
            "color_range": 2 if full else 1,
            "colorspace": 1,
            "color_primaries": 1,
            "color_trc": 1,
        },
    )
    target = copy(source, tmp_path / "out.mp4")
    before, after = clips.pictures(source)[0], clips.pictures(target)[0]
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        assert getattr(before, name) == getattr(after, name) != 2 or full
    assert after.color_range == (2 if full else 1)
    with av.open(str(target)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    difference = before.to_ndarray(format="gray").astype(int) - after.to_ndarray(format="gray")
    assert np.abs(difference).mean() < 2


def test_odd_sizes_get_their_last_column_and_row_twice(tmp_path):
    source = clips.make(
        tmp_path / "in.mkv",
        width=161,
        height=121,
        video="ffv1",
        count=3,
        colours={"color_range": 2, "colorspace": 1},
    )
    target = copy(source, tmp_path / "out.mp4", crf=1)
    assert clips.pictures(target)[0].color_range == 2
    assert clips.pictures(target)[0].colorspace == 1
    before, after = (Planes.of(clips.pictures(path)[0]) for path in (source, target))
    assert after.y.shape == (122, 162)
    expected = np.pad(before.y, ((0, 1), (0, 1)), mode="edge").astype(int)
    assert np.abs(expected - after.y).max() <= 4
    assert np.abs(before.u.astype(int) - after.u).max() <= 4


def test_webm_takes_odd_sizes_as_they_are(tmp_path):
    source = clips.make(tmp_path / "in.mkv", width=161, height=121, video="ffv1", count=3)
    target = copy(source, tmp_path / "out.webm")
    picture = clips.pictures(target)[0]
    assert (picture.width, picture.height) == (161, 121)
    assert first_stream(target, "video")[0] == "vp9"


def test_the_sources_picture_types_are_not_repeated(tmp_path):
    source = clips.make(tmp_path / "in.mkv", count=12, video="mjpeg", pixel_format="yuvj420p")
    target = copy(source, tmp_path / "out.mp4")
    assert sum(picture.key_frame for picture in clips.pictures(target)) == 1


def test_mp4_can_be_played_while_it_loads(tmp_path):
    target = copy(clips.make(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_higher_crf_is_smaller(tmp_path):
    source = clips.beginning(clips.VIDEO / "webcam" / "walk.mkv", tmp_path / "in.mkv", 0.3)
    sizes = [
        copy(source, tmp_path / f"{crf}.mp4", crf=crf, preset="ultrafast").stat().st_size
        for crf in (15, 35)
    ]
    assert sizes[0] > 2 * sizes[1]


@pytest.fixture
def video(tmp_path):
    with VideoFile(clips.make(tmp_path / "in.mp4", count=2)) as source:
        yield source.format, [yuv420p(item.picture) for item in source]


def test_nothing_is_left_after_an_error(tmp_path, video):
    form, pictures = video
    folder = tmp_path / "out"
    folder.mkdir()
    writer = VideoWriter(folder / "out.mp4", form)
    with pytest.raises(KeyboardInterrupt):
        interrupted(writer, pictures[0], lambda: len(list(folder.iterdir())) == 1)
    assert list(folder.iterdir()) == []
    writer.abort()
    writer.finish()
    assert list(folder.iterdir()) == []


def test_an_existing_file_stays_until_the_new_one_is_whole(tmp_path, video):
    form, pictures = video
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with pytest.raises(MediaError, match="--overwrite"):
        VideoWriter(target, form)
    with pytest.raises(KeyboardInterrupt):
        interrupted(VideoWriter(target, form, overwrite=True), pictures[0])
    assert target.read_bytes() == b"old"
    with VideoWriter(target, form, overwrite=True) as writer:
        writer.write(pictures[0])
        assert target.read_bytes() == b"old"
    assert len(clips.pictures(target)) == 1
    assert leftovers(tmp_path) == []


def test_a_link_stays_a_link(tmp_path, video):
    form, pictures = video
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = tmp_path / "out.mp4"
    link.symlink_to(folder / "real.mp4")
    with VideoWriter(link, form) as writer:
        writer.write(pictures[0])
    assert link.is_symlink()
    assert len(clips.pictures(folder / "real.mp4")) == 1


def test_the_file_gets_the_usual_permissions(tmp_path, video):
    form, pictures = video
    before = os.umask(0o027)
    try:
        with VideoWriter(tmp_path / "out.mp4", form) as writer:
            writer.write(pictures[0])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.mp4").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.txt", "must end in"),
        ("out", "must end in"),
        ("none/out.mp4", "there is no folder"),
        ("folder.mp4", "it is a folder"),
        ("a" * 300 + ".mp4", "name too long"),
    ],
)
def test_names_that_cannot_be_written(tmp_path, video, name, message):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match=message):
        VideoWriter(tmp_path / name, video[0])
    assert leftovers(tmp_path) == []


def test_a_device_is_not_replaced(tmp_path):
    pipe = tmp_path / "out.mp4"
    os.mkfifo(pipe)
    with pytest.raises(MediaError, match="ordinary"):
        check_writable(pipe, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, video):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(MediaError, match="permission"):
        VideoWriter(folder / "out.mp4", video[0])


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, video, monkeypatch):
    form, pictures = video
    writer = VideoWriter(tmp_path / "out.mp4", form)
    writer.write(pictures[0])

    def replace(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(MediaError, match="no space left"):
        writer.finish()
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out.mp4").exists()
