"""What training is shown: the library's splits and targets, and clips that mean what they say."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream.track.words import WORDS
from stream.training.clips import MIN_PIXELS, ClipMaker, Recipe
from stream.training.library import (
    COMPLETE,
    Library,
    LibraryError,
    absent,
    read_labels,
    read_rgb,
    spoken,
    targets,
)
from stream.training.motion import absence, drift, excursion
from tests.training_pictures import SIDE, draw


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return draw(tmp_path_factory.mktemp("pictures"))


def test_no_picture_is_in_both_splits(root: Path) -> None:
    train = {picture.name for picture in Library(root).pictures()}
    validation = {picture.name for picture in Library(root, "validation").pictures()}
    assert not train & validation
    assert len(train | validation) == 60
    assert 0 < len(validation) < 15


def test_a_whole_comes_before_its_parts(root: Path) -> None:
    for picture in Library(root).pictures():
        found = targets(picture, read_labels(picture))
        assert found == ([(1, 2), (1,), (2,)] if picture.whole else [(1,), (2,)])


def test_what_is_ground_is_no_target(root: Path) -> None:
    picture = next(p for p in Library(root).pictures() if not p.whole)
    labels = np.ones((SIDE, SIDE), np.uint8)
    labels[:20, :20] = 2
    assert targets(picture, labels) == [(2,)]


def test_things_are_cut_out_with_their_own_colour(root: Path) -> None:
    library, rng = Library(root), random.Random(3)
    for _ in range(20):
        thing = library.draw_thing(rng)
        assert thing.rgb.shape[:2] == thing.alpha.shape
        inside = thing.rgb[thing.alpha > 0.99].astype(int)
        assert np.all(inside.max(axis=1) - inside.min(axis=1) > 60), "grey belongs to the ground"


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=str(tmp_path)):
        Library(tmp_path)
    with pytest.raises(LibraryError, match="lost"):
        read_rgb(tmp_path / "lost.webp")


@pytest.mark.parametrize("frames", [1, 4])
def test_every_object_is_seen_in_the_first_frame(root: Path, frames: int) -> None:
    recipe = Recipe(frames=frames, objects=3, leaving=0.5, cuts=0.3)
    maker = ClipMaker(Library(root), recipe, random.Random(frames), 128)
    several = 0
    for _ in range(20):
        clip = maker.make()
        assert clip.frames.shape == (frames, 128, 128, 3)
        assert clip.frames.dtype == np.uint8
        assert clip.masks.shape[1:] == (frames, 128, 128)
        assert 1 <= len(clip.masks) <= 3
        assert clip.masks[:, 0].sum(axis=(1, 2)).min() >= MIN_PIXELS / 4
        several += len(clip.masks) > 1
    assert several > 5


def test_objects_leave_and_some_return(root: Path) -> None:
    recipe = Recipe(frames=6, leaving=0.8, cuts=0.0, pasted=0.5)
    maker = ClipMaker(Library(root), recipe, random.Random(5), 96)
    seen = np.concatenate([maker.make().masks.any(axis=(2, 3)) for _ in range(30)])
    gone = ~seen.all(axis=1)
    assert gone.any()
    assert not gone.all()
    assert any(
        "TFT" in "".join("FT"[int(there)] for there in row).replace("FF", "F") for row in seen
    )


def test_masks_lie_on_what_they_name(root: Path) -> None:
    """All things drawn have a colour, the ground has none; one clip in twenty is grey."""
    recipe = Recipe(frames=3, pasted=0.0, leaving=0.0, cuts=0.0)
    maker = ClipMaker(Library(root), recipe, random.Random(8), 128)
    agree = []
    for _ in range(30):
        clip = maker.make()
        for masks in clip.masks:
            for frame, mask in zip(clip.frames, masks, strict=True):
                if mask.sum() > 400:
                    colour = frame[mask].mean(axis=0)
                    agree.append(colour.max() - colour.min() > 12)
    assert np.mean(agree) > 0.85


def test_the_same_seed_gives_the_same_clip(root: Path) -> None:
    first, second = (
        ClipMaker(Library(root), Recipe(frames=2), random.Random(4), 64).make() for _ in range(2)
    )
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.masks, second.masks)


def test_paths_are_smooth_and_excursions_come_back() -> None:
    rng = random.Random(2)
    path = drift(rng, 200, 5.0, 0.1)
    assert path[0] == 5.0
    assert max(abs(a - b) for a, b in pairwise(path)) < 1.0
    for frames in range(2, 9):
        away = absence(rng, frames)
        assert 1 <= away.start < away.stop <= frames
        moved = excursion(rng, path[:frames], away, 3.0)
        assert [i for i in range(frames) if moved[i] != path[i]] == list(away)
    assert not absence(rng, 1)


def test_words_name_all_of_their_labels_and_absent_ones_nothing(root: Path) -> None:
    maker = ClipMaker(Library(root), Recipe(objects=3, spoken=True), random.Random(4), 96)
    seen: set[str] = set()
    for _ in range(200):
        clip = maker.make()
        assert len(clip.words) == len(clip.masks)
        for word, mask in zip(clip.words, clip.masks[:, 0], strict=True):
            name = WORDS[word]
            assert name in ("phone", "cup", "person") or not mask.any()
            seen.add(name if mask.any() else "absent")
    assert seen == {"phone", "cup", "person", "absent"}


def test_what_has_no_word_is_never_asked_for_and_a_whole_has_its_own(root: Path) -> None:
    pictures = {picture.name: picture for picture in Library(root).pictures()}
    parts = next(p for p in pictures.values() if p.source == "ccp")
    labels = read_labels(parts)
    assert spoken(parts, labels)["person"] == (1, 2)
    assert "zeppelin" not in spoken(parts, labels)
    assert set(absent(parts, ["person"])) == COMPLETE["ccp"] - {"person"}
