from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream import cues
from stream.compose.compositor import Compositor
from stream.compose.effects import Effect
from stream.cues import Cue, Schedule
from stream.egress.file import VideoWriter
from stream.errors import MediaError, PromptError
from stream.ingest.file import VideoFile
from stream.prompts import Point
from stream.track import catalog
from stream.track.tracker import Tracker
from stream.track_file import track_file
from tests import drawn_clips as clips
from tests.fake_tracker import BrightTracker
from tests.picture_helpers import save


def run(source_path, target_path, schedule, tracker=None, effect=None, on_frame=lambda: None):
    compositor = Compositor()
    compositor.set_effect(effect or Effect("colour", colour="#0000ff"))
    with (
        VideoFile(source_path) as source,
        VideoWriter(target_path, source.format, source.audio) as writer,
    ):
        return track_file(
            source, writer, tracker or BrightTracker(), compositor, Schedule(schedule), on_frame
        )


def at(time, x=60, y=60, object_id=1):
    return Cue(Fraction(time), Point(object_id, x, y))


def rgb(path):
    return [picture.to_ndarray(format="rgb24").astype(int) for picture in clips.pictures(path)]


def is_blue(pixel):
    return pixel[2] > 180 and max(pixel[:2]) < 70


def test_every_picture_gets_its_own_mask(tmp_path):
    """The square moves; whatever is not the square on that very picture is blue."""
    source = clips.make(tmp_path / "in.mp4", count=20)
    tracker = BrightTracker()
    summary = run(source, tmp_path / "out.mp4", [at(0)], tracker)
    assert tracker.seen == list(range(20))
    assert summary.frames == 20
    assert summary.duration == pytest.approx(20 * 1001 / 30000, abs=0.01)
    assert summary.frames_per_second > 0
    for i, picture in enumerate(rgb(tmp_path / "out.mp4")):
        left = 40 + 2 * i
        assert picture[60, left + 6].min() > 150
        assert picture[60, left + 33].min() > 150
        assert is_blue(picture[60, left - 7])
        assert is_blue(picture[60, left + 47])
    assert clips.times(source) == clips.times(tmp_path / "out.mp4")


def test_variable_times_and_sound(tmp_path):
    source = clips.make(
        tmp_path / "in.mp4",
        pts=lambda i: i * 1001 + (i % 4) * 13,
        audio="aac",
        options={"video_track_timescale": "30000"},
    )
    run(source, tmp_path / "out.mp4", [at(0)])
    assert clips.times(source) == clips.times(tmp_path / "out.mp4")
    assert clips.packets(source) == clips.packets(tmp_path / "out.mp4")


def test_a_turned_clip_comes_out_as_a_person_sees_it(tmp_path):
    source = clips.make(tmp_path / "in.mp4", rotation=90, count=3)
    tracker = BrightTracker()
    run(source, tmp_path / "out.mp4", [at(0, 60, 100)], tracker)
    picture = clips.pictures(tmp_path / "out.mp4")[0]
    assert (picture.width, picture.height, picture.rotation) == (120, 160, 0)
    pixels = rgb(tmp_path / "out.mp4")[0]
    assert pixels[100, 60].min() > 150
    assert is_blue(pixels[20, 60])


def test_prompts_wait_for_their_time(tmp_path):
    """30000/1001 pictures a second: 0.1 s falls between pictures 2 and 3."""
    source = clips.make(tmp_path / "in.mp4", count=16)
    tracker = BrightTracker()
    run(source, tmp_path / "out.mp4", [at("0.1"), at("0.2", object_id=2)], tracker)
    assert tracker.seen == list(range(3, 16))
    assert [prompt.object_id for prompt in tracker.prompts] == [1, 2]
    pictures = rgb(tmp_path / "out.mp4")
    assert is_blue(pictures[2][60, 60])  # nothing known yet: all is background
    assert pictures[3][60, 60].min() < 150, "fades in"
    assert pictures[-1].min(axis=2).max() > 150


def test_times_count_from_the_first_picture(tmp_path):
    source = clips.make(
        tmp_path / "in.mkv", time_base=Fraction(1, 1000), pts=lambda i: 5000 + 40 * i
    )
    tracker = BrightTracker()
    run(source, tmp_path / "out.mkv", [at(0), at("0.08", object_id=2)], tracker)
    assert tracker.seen[0] == 0
    assert len(tracker.object_ids) == 2


@pytest.mark.parametrize(
    ("time", "end", "begun"),
    [("3", r"0\.1[67]", False), ("0.15", r"0\.13", True)],
)
def test_a_prompt_after_the_last_picture(tmp_path, time, end, begun):
    """Told at once where the file's header says enough, at the end otherwise."""
    source = clips.make(tmp_path / "in.mp4", count=5)
    tracker = BrightTracker()
    with pytest.raises(PromptError, match=rf"at {time} s, but the video ends at {end} s"):
        run(source, tmp_path / "out.mp4", [at(0), at(time)], tracker)
    assert bool(tracker.seen) == begun
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_progress_is_told(tmp_path):
    told = []
    source = clips.make(tmp_path / "in.mp4", count=5)
    run(source, tmp_path / "out.mp4", [at(0)], on_frame=lambda: told.append(1))
    assert len(told) == 5


def test_a_cut_off_file_leaves_nothing_behind(tmp_path):
    whole = clips.make(tmp_path / "in.mp4", count=90, options={"movflags": "faststart"})
    source = clips.cut(whole, tmp_path / "cut.mp4", 0.6)
    with pytest.raises(MediaError, match="pictures"):
        run(source, tmp_path / "out.mp4", [at(0)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.mp4", "in.mp4"]


@pytest.fixture(scope="module")
def network():
    return catalog.load("nano", threads=2)


def test_the_real_tracker_tints_a_person(tmp_path, network):
    source = clips.beginning(clips.VIDEO / "webcam" / "walk.mkv", tmp_path / "in.mkv", 0.6)
    target = tmp_path / "out.mp4"
    run(source, target, [at(0, 320, 300)], Tracker(network), Effect("overlay", 0.5))
    assert clips.times(source) == clips.times(target)
    before, after = rgb(source), rgb(target)
    save(clips.pictures(target)[-1], "track_overlay")
    for old, new in zip(before, after, strict=True):
        change = cv2.blur(np.abs(new - old).max(axis=2).astype(np.float32), (9, 9))
        assert change[320, 320] > 40  # the chest
        for corner in (change[:40, :40], change[:40, -40:], change[-40:, :40], change[-40:, -40:]):
            assert corner.max() < 12


def test_the_real_tracker_and_a_clip_with_sound(tmp_path, network):
    source = clips.beginning(clips.VIDEO / "objects" / "01_dog.mp4", tmp_path / "in.mp4", 0.5)
    target = tmp_path / "out.mp4"
    schedule = [cues.box("130,190,420,560"), cues.point("2:700,300@0.2")]
    run(source, target, schedule, Tracker(network), Effect("blur", 0.8))
    assert [p.pts for p in clips.pictures(source)] == [p.pts for p in clips.pictures(target)]
    assert clips.packets(source) == clips.packets(target)
    save(clips.pictures(target)[-1], "track_blur")


@pytest.mark.parametrize(
    "format", ["yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuvj420p", "yuvj422p"]
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_files_of_more_bits_and_more_chroma_are_taken(tmp_path, format, rotation):
    """Tracked, composited and written: the same colours as from eight bits and 4:2:0."""
    pictures = []
    for name in (format, "yuv420p"):
        source = clips.make(tmp_path / f"{name}.mp4", count=3, pixel_format=name, rotation=rotation)
        if name == format:
            assert clips.pictures(source)[0].format.name in (format, format.replace("yuvj", "yuv"))
        point = at(0, 60, 100) if rotation else at(0)
        run(source, tmp_path / f"{name}-out.mp4", [point])
        assert clips.times(source) == clips.times(tmp_path / f"{name}-out.mp4")
        pictures.append(clips.pictures(tmp_path / f"{name}-out.mp4"))
    for one, plain in zip(*pictures, strict=True):
        assert one.format.name in ("yuv420p", "yuvj420p")
        full = "j" in format
        assert (one.color_range == 2) == full
        shown, wanted = (each.to_ndarray(format="rgb24").astype(int) for each in (one, plain))
        assert shown.shape == wanted.shape
        inside = np.s_[95:105, 55:65] if rotation else np.s_[55:65, 50:70]
        assert np.abs(shown - wanted)[inside].max() < 12
        assert np.abs(shown - wanted).mean() < 4
