"""Every export, read back by what others read it with."""

import contextlib
import io
import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from stream.compose.effects import Effect
from stream.frames import Masks
from stream.jobs import exports
from stream.jobs.exports import davis, rle, yolo
from stream.jobs.exports.shown import Shown, bounds
from stream.jobs.request import FILES
from stream.media import VideoFormat
from tests import drawn_clips as clips

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools

WIDTH, HEIGHT, SIDE = 64, 48, 16
NAMES = {1: "person", 2: "object", 5: "person"}


def masks(index: int) -> Masks:
    """Object 1 upper left and moving right, 2 below it, 5 hidden; 1 and 2 overlap in one row."""
    logits = np.full((3, SIDE, SIDE), -10, np.float32)
    logits[0, 2:8, 2 + index : 8 + index] = 4
    logits[1, 7:13, 2:8] = 9
    logits[2] = -1024
    ious = np.array([0.9, 0.8, 0.1], np.float32)
    return Masks((1, 2, 5), logits, np.array([5, 5, -5], np.float32), ious, index)


def picture(index: int) -> av.VideoFrame:
    rgb = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base, frame.duration = index * 40, Fraction(1, 1000), 40
    return frame


def shown(index: int) -> Shown:
    found = None if index == 0 else masks(index)
    return Shown(picture(index), index, Fraction(index, 25), found)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """All exports of four pictures, the first before any prompt."""
    video = VideoFormat(WIDTH, HEIGHT, Fraction(1, 1000), Fraction(25), None)
    effect = Effect("colour", colour="#0000ff")
    made = exports.create(list(FILES), tmp_path, video, (), NAMES, (effect,), {})
    for index in range(4):
        for export, _ in made:
            export.write(shown(index))
    for export, _ in made:
        export.finish()
    assert {path.name for path in tmp_path.iterdir()} == set(FILES.values())
    return tmp_path


def regions(index: int) -> dict[int, Any]:
    return {} if index == 0 else shown(index).regions


@settings(deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_rle_is_what_pycocotools_writes(region: Any) -> None:
    theirs = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
    ours = rle.encode(region)
    assert ours["counts"] == theirs["counts"].decode()
    assert ours["size"] == theirs["size"]
    assert (coco_mask.decode(ours) == region).all()


def test_rle_of_long_runs() -> None:
    for share in (0.0, 0.001, 0.5, 1.0):
        region = np.random.default_rng(3).random((720, 1280)) < share
        assert (coco_mask.decode(rle.encode(region)) == region).all()


def test_coco(written: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(written / "coco.json"))
    assert len(coco.getImgIds()) == 4
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["person", "object"]
    assert coco.getAnnIds(imgIds=[1]) == []
    for index in range(1, 4):
        found = {one["track_id"]: one for one in coco.loadAnns(coco.getAnnIds(imgIds=[index + 1]))}
        assert set(found) == {1, 2}
        for object_id, region in regions(index).items():
            one = found[object_id]
            assert (coco.annToMask(one) == region).all()
            assert one["area"] == coco_mask.area(one["segmentation"]) == region.sum()
            assert one["bbox"] == coco_mask.toBbox(one["segmentation"]).tolist()
            assert one["category_id"] == {1: 1, 2: 2}[object_id]
    image = coco.loadImgs([3])[0]
    assert (image["width"], image["height"], image["timestamp"]) == (WIDTH, HEIGHT, 0.08)


def test_davis(written: Path) -> None:
    archive = zipfile.ZipFile(written / "davis.zip")
    assert archive.namelist() == [f"{i:05d}.png" for i in range(4)]
    for index in range(4):
        image = Image.open(io.BytesIO(archive.read(f"{index:05d}.png")))
        assert image.mode == "P"
        numbers = np.asarray(image)
        found = regions(index)
        assert set(np.unique(numbers)) == {0, *found}
        if found:
            assert (numbers[found[2] & ~found[1]] == 2).all()
            assert found[1][22, 24]
            assert numbers[22, 24] == 2  # surer than 1 where they overlap
            assert (numbers[found[1] & ~found[2]] == 1).all()
            assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_davis_palette_is_that_of_pascal_voc() -> None:
    colours = np.frombuffer(davis.palette(), np.uint8).reshape(256, 3).tolist()
    wanted = {
        3: [128, 128, 0],
        8: [64, 0, 0],
        9: [192, 0, 0],
        20: [0, 64, 128],
        255: [224, 224, 192],
    }
    assert {number: colours[number] for number in wanted} == wanted


def test_yolo(written: Path) -> None:
    archive = zipfile.ZipFile(written / "yolo.zip")
    assert '0: "person"\n  1: "object"' in archive.read("data.yaml").decode()
    assert archive.read("labels/000000.txt") == b""
    for index in range(1, 4):
        lines = archive.read(f"labels/{index:06d}.txt").decode().splitlines()
        assert [line.split()[0] for line in lines] == ["0", "1"]
        for line, region in zip(lines, regions(index).values(), strict=True):
            shares = np.array(line.split()[1:], float).reshape(-1, 2)
            assert ((shares >= 0) & (shares <= 1)).all()
            pixels = np.round(shares * (WIDTH, HEIGHT) - 0.5).astype(np.int32)
            drawn = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [pixels], 1) > 0
            assert iou(drawn, region) > 0.97


def test_yolo_joins_an_objects_parts() -> None:
    region = np.zeros((100, 200), bool)
    region[10:60, 10:60] = region[30:90, 100:180] = region[5:25, 80:95] = True
    region[95, 195] = True  # a speck
    outline = yolo.polygon(region)
    assert outline is not None
    drawn = cv2.fillPoly(np.zeros(region.shape, np.uint8), [outline], 1) > 0
    assert iou(drawn, region) > 0.98
    assert yolo.polygon(np.zeros((9, 9), bool)) is None
    single = np.zeros((9, 9), bool)
    single[4, 4] = True
    assert yolo.polygon(single) is None


def test_mot(written: Path) -> None:
    rows = [line.split(",") for line in (written / "mot.txt").read_text().splitlines()]
    assert [(row[0], row[1]) for row in rows] == [(str(f), i) for f in (2, 3, 4) for i in "12"]
    for row in rows:
        region = regions(int(row[0]) - 1)[int(row[1])]
        assert tuple(map(int, row[2:6])) == bounds(region)
        assert row[7:] == ["-1", "-1", "-1"]


def test_videos(written: Path) -> None:
    for name in ("video", "overlay", "mask"):
        frames = clips.pictures(written / FILES[name])
        assert [frame.pts * frame.time_base for frame in frames] == [
            Fraction(i, 25) for i in range(4)
        ]
    for index, frame in enumerate(clips.pictures(written / "mask.mp4")):
        grey = frame.to_ndarray(format="gray")
        union = shown(index).union
        assert iou(grey > 128, union) > 0.95 if index else not (grey > 40).any()
        assert grey.max() > 245 or not index
    first, *others = [
        frame.to_ndarray(format="rgb24").astype(int)
        for frame in clips.pictures(written / "video.mp4")
    ]
    assert abs(first - (0, 0, 255)).max() < 20  # nothing was tracked yet
    # What was hidden fades in; outside the objects nothing ever shows.
    away = [abs(frame[16, 20] - (200, 100, 50)).max() for frame in (first, *others)]
    assert sorted(away, reverse=True) == away
    assert away[-1] < away[0] - 30
    assert all(abs(frame[44, 60] - (0, 0, 255)).max() < 20 for frame in others)


def test_cutout_has_opacity(written: Path) -> None:
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(written / "cutout.webm")) as container:
        assert container.streams.video[0].metadata["ALPHA_MODE"] == "1"
        packets = [packet for packet in container.demux(video=0) if packet.size]
        frames = [frame for packet in packets for frame in decoder.decode(packet)]  # type: ignore[attr-defined]
    assert [frame.format.name for frame in frames] == ["yuva420p"] * 4
    for index, frame in enumerate(frames):
        rgba = frame.to_ndarray(format="rgba")
        if index == 0:
            assert rgba[..., 3].max() < 10
            continue
        assert iou(rgba[..., 3] > 128, shown(index).union) > 0.9
        assert abs(rgba[16, 24, :3].astype(int) - (200, 100, 50)).max() < 20


def test_an_aborted_export_leaves_nothing(tmp_path: Path) -> None:
    video = VideoFormat(WIDTH, HEIGHT, Fraction(1, 1000), Fraction(25), None)
    made = exports.create(list(FILES), tmp_path, video, (), NAMES, (Effect(),), {})
    for export, _ in made:
        export.write(shown(1))
        export.abort()
    assert list(tmp_path.iterdir()) == []


def test_json_is_whole_without_any_object(tmp_path: Path) -> None:
    video = VideoFormat(WIDTH, HEIGHT, Fraction(1, 1000), Fraction(25), None)
    ((export, _),) = exports.create(["coco"], tmp_path, video, (), NAMES, (Effect(),), {})
    export.finish()
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"] == []


def iou(one: Any, other: Any) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))
