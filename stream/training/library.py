"""The pictures to train on: what is labelled in each, and things cut out of them to paste."""

import json
import math
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.track.words import WORDS, canonical

Split = Literal["train", "validation"]

VALIDATION_SHARE = 20
"""One picture in so many is kept for validation, chosen by its name."""

WEIGHTS = {
    "ccp": 3.0,
    "coco_minis": 4.0,
    "ecssd": 3.0,
    "bsds500": 2.5,
    "coco": 2.0,
    "endangered_animals": 2.0,
    "feral_cats": 1.0,
    "car_parts": 1.0,
    "food_via": 1.0,
    "human_seg_290": 1.0,
    "pennfudan": 0.8,
    "weizmann_horse328": 0.8,
    "oxford17_flowers": 0.6,
    "voc07_inst44": 0.6,
}
"""How often a source is drawn, against OTHER_WEIGHT: by how much its pictures teach, not by how
many there are. Pictures with several different things teach most about where a click lands."""

OTHER_WEIGHT = 0.4
CUTOUT_WEIGHT = 1.5

REGION_SOURCES = frozenset({"bsds500", "car_parts", "traffic_coad"})
"""Their labels are parts, or ground and sky: nothing that could be pasted elsewhere."""

WHOLES = {"ccp": "person", "car_parts": "car"}
"""What all labels of such a source's picture are together."""

NAMES = {"piring": "plate", "Moto": "motorcycle"}
"""Of labels, where a source's own language differs from ours."""

SALIENT = frozenset(
    {"ecssd", "feral_cats", "caltech_animals", "weizmann_horse328", "human_seg_290", "cosal_cow30",
     "oxford17_flowers", "animals63"}
)  # fmt: skip
"""Sources whose labels are what stands out in the picture."""

COMPLETE = {
    "coco": None,
    "coco_minis": None,
    "ccp": frozenset({"person", "hair", "skin", "shoes", "bag", "pants", "dress", "coat", "shirt",
                      "skirt", "sweater", "suit", "hat", "glasses", "belt", "scarf", "socks",
                      "shorts", "tie"}),
    "feral_cats": frozenset({"cat", "person", "face"}),
    "endangered_animals": frozenset(
        {"elephant", "bear", "tiger", "turtle", "monkey", "otter", "deer", "person", "face"}
    ),
    "oxford17_flowers": frozenset({"flower", "person", "face"}),
    "weizmann_horse328": frozenset({"horse"}),
}  # fmt: skip
"""Source -> the words whose every instance it labels, or of which it shows none (people among
wild animals); None: those that COCO has. A word that is
not among a picture's labels is taken to be absent only where the source would have labelled it,
or for an animal or vehicle in a picture of another."""

NOT_IN_COCO = frozenset(
    {"object", "face", "hair", "skin", "shoes", "pants", "dress", "coat", "shirt", "skirt",
     "sweater", "suit", "hat", "glasses", "belt", "scarf", "socks", "shorts", "tiger", "turtle",
     "monkey", "otter", "deer", "fish", "flower", "wheel", "plate", "bag"}
)  # fmt: skip

ALONE = frozenset(
    {"cat", "horse", "cow", "elephant", "bear", "tiger", "turtle", "monkey", "otter", "deer",
     "fish", "car", "truck", "bus", "motorcycle", "bicycle"}
)  # fmt: skip
"""Words that hardly share a picture: where one is the subject, another is absent."""

MIN_THING_PIXELS = 400
MIN_THING_SIDE = 16

Labels = NDArray[np.uint8]
Target = tuple[int, ...]
"""The values in a label map that make up one object: several for a person in garments."""


class LibraryError(Exception):
    """The folder does not hold what training needs; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture. whole: all labels together are an object too (person, car). names: of
    the labels that have one."""

    name: str
    source: str
    image: Path
    labels: Path
    whole: bool
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing cut out of its picture: RGB uint8 [h, w, 3] and alpha float32 [h, w], 0 to 1."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32]


class Library:
    """Everything below a folder laid out as `index.json`, `images`, `labels`, `cutouts`,
    `backgrounds`. Pictures of the validation split are never drawn for training, nor the other
    way round; the cut-outs and backgrounds serve both.
    """

    def __init__(self, root: Path, split: Split = "train") -> None:
        """Raises LibraryError when there is no index, or no picture of this split in it."""
        try:
            index = json.loads((root / "index.json").read_text())
        except OSError as error:
            raise LibraryError(f"no training pictures in {root}: {error.strerror}") from error
        self.sources: dict[str, list[Picture]] = {}
        for entry in index:
            name, source = entry["name"], entry["source"]
            if split_of(name) == split:
                self.sources.setdefault(source, []).append(
                    Picture(
                        name,
                        source,
                        root / "images" / f"{name}.webp",
                        root / "labels" / f"{name}.png",
                        entry["kind"] in ("person_parts", "parts"),
                        {
                            int(label): name
                            for label, name in entry.get("objects", {}).items()
                            if name is not None
                        },
                    )
                )
        if not self.sources:
            raise LibraryError(f"{root / 'index.json'} lists no picture for {split}")
        self.cutouts = sorted((root / "cutouts").glob("*.webp"))
        self.backgrounds = sorted((root / "backgrounds").glob("*.webp"))
        self._by_word: dict[str, list[Picture]] = {}
        for picture in self.pictures():
            for word in _words(picture):
                self._by_word.setdefault(word, []).append(picture)
        self._names = list(self.sources)
        self._weights = [WEIGHTS.get(name, OTHER_WEIGHT) for name in self._names]

    def pictures(self) -> list[Picture]:
        """All of this split, in the index's order."""
        return [picture for pictures in self.sources.values() for picture in pictures]

    def draw(self, rng: random.Random) -> Picture:
        """A source by its weight, then any picture of it."""
        return rng.choice(self.sources[rng.choices(self._names, self._weights)[0]])

    def draw_named(self, rng: random.Random) -> Picture:
        """Half of the time any picture, else one in which a word names something: rare words more
        often than their share, or the model would only ever learn that they are absent."""
        if not self._by_word or rng.random() < 0.5:
            return self.draw(rng)
        words = list(self._by_word)
        word = rng.choices(words, [self._asked(word) for word in words])[0]
        return rng.choice(self._by_word[word])

    def draw_absent(self, rng: random.Random, words: Sequence[str], count: int) -> list[str]:
        """At most `count` of the words, each about as often as `draw_named` shows it."""
        left = {word: asked for word in words if (asked := self._asked(word))}
        drawn: list[str] = []
        while left and len(drawn) < count:
            drawn.append(rng.choices(list(left), list(left.values()))[0])
            del left[drawn[-1]]
        return drawn

    def _asked(self, word: str) -> float:
        return math.sqrt(len(self._by_word.get(word, ())))

    def draw_background(self, rng: random.Random) -> NDArray[np.uint8]:
        """RGB uint8 [H, W, 3] of any picture; what is in it is nobody's object."""
        if self.backgrounds and rng.random() < 0.3:
            return read_rgb(rng.choice(self.backgrounds))
        return read_rgb(self.draw(rng).image)

    def draw_thing(self, rng: random.Random) -> Thing:
        """A cut-out, or an object out of a labelled picture, mirrored half of the time."""
        while True:
            if self.cutouts and rng.random() < CUTOUT_WEIGHT / (CUTOUT_WEIGHT + sum(self._weights)):
                thing = _read_cutout(rng.choice(self.cutouts))
            else:
                thing = self._cut_out(rng)
            if thing is None:
                continue
            if rng.random() < 0.5:
                return Thing(
                    np.ascontiguousarray(thing.rgb[:, ::-1]),
                    np.ascontiguousarray(thing.alpha[:, ::-1]),
                )
            return thing

    def _cut_out(self, rng: random.Random) -> Thing | None:
        picture = self.draw(rng)
        if picture.source in REGION_SOURCES and not picture.whole:
            return None
        labels = read_labels(picture)
        found = targets(picture, labels)
        if not found:
            return None
        target = found[0] if picture.whole else rng.choice(found)
        return _crop(read_rgb(picture.image), np.isin(labels, target).astype(np.float32))


def spoken(picture: Picture, labels: Labels) -> dict[str, Target]:
    """The words that name something in a picture, each with all that it names."""
    present = [int(value) for value in np.unique(labels) if value]
    found: dict[str, list[int]] = {}
    for label in present:
        if (word := _word(picture, label)) is not None:
            found.setdefault(word, []).append(label)
    if (whole := WHOLES.get(picture.source)) is not None:
        found[whole] = present
    if picture.source in SALIENT:
        found["object"] = present
    return {word: tuple(values) for word, values in found.items() if values}


def _words(picture: Picture) -> set[str]:
    """That may name something in it, by the index alone."""
    named = {word for label in picture.names if (word := _word(picture, label)) is not None}
    if (whole := WHOLES.get(picture.source)) is not None:
        named.add(whole)
    if picture.source in SALIENT:
        named.add("object")
    return named


def absent(picture: Picture, present: Sequence[str]) -> list[str]:
    """Words of which nothing can be in the picture, as far as its source tells."""
    if picture.source in ("coco", "coco_minis"):
        return [word for word in WORDS if word not in present and word not in NOT_IN_COCO]
    labelled = COMPLETE.get(picture.source) or frozenset()
    candidates = set(labelled)
    if ALONE & set(present):
        candidates |= ALONE
    return [word for word in WORDS if word in candidates and word not in present]


def _word(picture: Picture, label: int) -> str | None:
    name = picture.names.get(label)
    if name is None or (name.isdigit() and picture.source != "fish_via"):
        return None
    if picture.source == "fish_via":
        return "fish"
    word = canonical(NAMES.get(name, name))
    return word if word in WORDS else None


def split_of(name: str) -> Split:
    """The same for a picture's name on every machine and in every run."""
    return "train" if zlib.crc32(name.encode()) % VALIDATION_SHARE else "validation"


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]. Raises LibraryError."""
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8)


def read_labels(picture: Picture) -> Labels:
    """uint8 [H, W], 0 where nothing is labelled. Raises LibraryError."""
    return _read(picture.labels, cv2.IMREAD_GRAYSCALE)


def targets(picture: Picture, labels: Labels, most: float = 0.8) -> list[Target]:
    """The objects in a label map: the whole first where there is one, then each label.

    most: share of the picture above which a label is ground or sky rather than a thing.
    """
    counts = np.bincount(labels.ravel(), minlength=256)
    present = [int(value) for value in np.flatnonzero(counts[1:]) + 1]
    found: list[Target] = [(v,) for v in present if counts[v] < most * labels.size]
    if picture.whole and len(present) > 1:
        found.insert(0, tuple(present))
    return found


def _read(path: Path, flags: int) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise LibraryError(f"{path} is missing or not a picture")
    return picture.astype(np.uint8, copy=False)


def _read_cutout(path: Path) -> Thing | None:
    picture = _read(path, cv2.IMREAD_UNCHANGED)
    if picture.ndim != 3 or picture.shape[2] != 4:
        return None
    rgb = np.ascontiguousarray(picture[..., 2::-1])
    alpha: NDArray[np.float32] = picture[..., 3].astype(np.float32)
    return _crop(rgb, alpha / np.float32(255))


def _crop(rgb: NDArray[np.uint8], alpha: NDArray[np.float32]) -> Thing | None:
    x, y, width, height = cv2.boundingRect((alpha > 0.5).astype(np.uint8))
    inside: Sequence[slice] = (slice(y, y + height), slice(x, x + width))
    cropped = alpha[inside[0], inside[1]]
    if min(width, height) < MIN_THING_SIDE or np.count_nonzero(cropped > 0.5) < MIN_THING_PIXELS:
        return None
    soft = cv2.GaussianBlur(cropped, (3, 3), 0).astype(np.float32)
    return Thing(np.ascontiguousarray(rgb[inside[0], inside[1]]), soft)
