"""Clips to learn from, made of still pictures: their own objects, and things pasted on them.

A scene is a labelled picture under a moving camera, with things in front that move by
themselves, occlude, leave and return; a still is a clip of one frame. The picture's labels and
the pasted things are objects alike, so that one clip has several, and only the prompt says which
is meant.
"""

import random
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.track.words import WORDS
from stream.training.library import (
    Library,
    Target,
    Thing,
    absent,
    read_labels,
    read_rgb,
    spoken,
    targets,
)
from stream.training.light import Light
from stream.training.motion import absence, drift, excursion, growth

MIN_PIXELS = 40
"""Of a target in the first frame, at 256 x 256: less cannot be clicked on."""

MAX_SHARE = 0.85
"""Of the first frame that a target may fill."""

ATTEMPTS = 50

ABSENT = 0.9
"""Share of the spoken clips that are asked for a word which names nothing in the picture. With
two words in each, common ones were shown as absent three times as often as present, and the model
answered them with nothing; with one in 0.6 of them, it marked something nearly always."""

WHOLE = 0.7
"""Share of the pictures of people and cars whose parts do not outnumber the whole: a click on a
sweater means its wearer more often than the sweater."""

PARTS = 2
"""Beside the whole, in those."""

GROWING = 0.4
"""Share of the things and of the cameras that come nearer, or draw away, all the time."""

MOST_GROWTH = 0.8
"""Of their size within a clip, as a natural logarithm: to 2.2 times or 0.45 of what it was."""


@dataclass(frozen=True, slots=True)
class Clip:
    """frames: RGB uint8 [T, S, S, 3]. masks: what is visible of each object, bool [N, T, S, S];
    all are visible in frame 0, but what a word names may be absent. words: the number of each
    object's word, where they are asked for by words; else empty."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    words: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the clips are to be like.

    frames: in a clip. objects: most that are asked for. pasted: share of clips whose objects are
    only the pasted things. twins: share of clips with pasted things that has two alike.
    leaving: chance of a thing to be away for some frames. cuts: chance that the clip shows
    another scene for some frames. spoken: objects are what words name, absent ones too.
    """

    frames: int = 1
    objects: int = 4
    pasted: float = 0.25
    twins: float = 0.3
    leaving: float = 0.3
    cuts: float = 0.06
    spoken: bool = False


@dataclass(slots=True)
class _Layer:
    """A thing on its way: position and size in shares of the frame's side."""

    thing: Thing
    x: list[float]
    y: list[float]
    size: list[float]
    angle: list[float]
    shear: list[float]
    hidden: range
    gain: float
    bias: float


@dataclass(slots=True)
class _Camera:
    """The rectangle of the background that each frame shows, in the background's pixels."""

    x: list[float]
    y: list[float]
    width: list[float]
    height: list[float]
    angle: list[float]

    def matrix(self, frame: int, side: int) -> NDArray[np.float64]:
        """Background -> frame, as OpenCV wants it [2, 3]."""
        cosine, sine = np.cos(self.angle[frame]), np.sin(self.angle[frame])
        scale = np.diag([side / self.width[frame], side / self.height[frame]])
        linear = scale @ np.array([[cosine, -sine], [sine, cosine]])
        middle = np.array([self.x[frame], self.y[frame]])
        return np.column_stack([linear, np.array([side / 2, side / 2]) - linear @ middle])


class ClipMaker:
    """Makes clips of `side` x `side` pixels out of a library, for ever."""

    def __init__(self, library: Library, recipe: Recipe, rng: random.Random, side: int) -> None:
        self.library = library
        self.recipe = recipe
        self.rng = rng
        self.side = side

    def make(self) -> Clip:
        """The next clip. Raises LibraryError when a picture cannot be read."""
        for _ in range(ATTEMPTS):
            if self.recipe.spoken:
                clip = self._spoken()
                if clip is not None:
                    return clip
                continue
            pasted_only = self.rng.random() < self.recipe.pasted
            clip = self._choose(self._pasted() if pasted_only else self._labelled())
            if clip is not None:
                return clip if self.rng.random() > self.recipe.cuts else self._cut(clip)
        raise RuntimeError(f"no object to be seen in {ATTEMPTS} scenes one after another")

    def _pasted(self) -> Clip:
        rgb = self.library.draw_background(self.rng)
        nothing = np.zeros(rgb.shape[:2], np.uint8)
        return self._render(rgb, nothing, [], self._layers(self.rng.choice((1, 2, 2, 3, 4)), True))

    def _labelled(self) -> Clip:
        picture = self.library.draw(self.rng)
        rgb, labels = read_rgb(picture.image), read_labels(picture)
        if self.rng.random() < 0.5:
            rgb, labels = np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])
        found = targets(picture, labels)
        if picture.whole and self.rng.random() < WHOLE:
            parts = found[1:]
            found = found[:1] + self.rng.sample(parts, min(PARTS, len(parts)))
        layers = self._layers(self.rng.choice((1, 1, 2)), False) if self.rng.random() < 0.35 else []
        return self._render(rgb, labels, found, layers)

    def _spoken(self) -> Clip | None:
        """A picture with the words that name something in it, and some that do not."""
        picture = self.library.draw_named(self.rng)
        rgb, labels = read_rgb(picture.image), read_labels(picture)
        named = spoken(picture, labels)
        if not named:
            return None
        if self.rng.random() < 0.5:
            rgb, labels = np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])
        chosen = self.rng.sample(list(named), min(len(named), self.recipe.objects))
        if "person" in named and "person" not in chosen:
            chosen[0] = "person"
        if self.rng.random() < ABSENT:
            chosen += self.library.draw_absent(self.rng, absent(picture, list(named)), 1)
        clip = self._render(rgb, labels, [named.get(word, ()) for word in chosen], [])
        pixels = clip.masks[:, 0].sum(axis=(1, 2))
        least = MIN_PIXELS * (self.side / 256) ** 2
        kept = [i for i, count in enumerate(pixels) if count == 0 or count >= least]
        return replace(
            clip, masks=clip.masks[kept], words=tuple(WORDS.index(chosen[i]) for i in kept)
        )

    def _layers(self, count: int, large: bool) -> list[_Layer]:
        layers = [self._layer(large and i == 0) for i in range(count)]
        if count > 1 and self.rng.random() < self.recipe.twins:
            layers[1] = replace(layers[1], thing=layers[0].thing, gain=layers[0].gain)
        return layers

    def _layer(self, large: bool) -> _Layer:
        rng, frames = self.rng, self.recipe.frames
        size = rng.uniform(0.2, 0.9) if large else rng.uniform(0.08, 0.6)
        speed = rng.choice((0.01, 0.03, 0.06))
        x = drift(rng, frames, rng.uniform(0.1, 0.9), speed)
        y = drift(rng, frames, rng.uniform(0.15, 0.85), 0.7 * speed)
        hidden = range(0)
        if rng.random() < self.recipe.leaving:
            away = absence(rng, frames)
            if rng.random() < 0.5:
                x = excursion(rng, x, away, 1.0 + size)
            else:
                hidden = away
        sizes = drift(rng, frames, size, rng.choice((0.03, 0.08)) * size)
        return _Layer(
            self.library.draw_thing(rng),
            x,
            y,
            [max(0.04, s * g) for s, g in zip(sizes, self._growth(), strict=True)],
            drift(rng, frames, rng.uniform(-0.3, 0.3), 0.06),
            drift(rng, frames, rng.uniform(-0.15, 0.15), 0.05),
            hidden,
            rng.uniform(0.7, 1.2),
            rng.uniform(-20, 20),
        )

    def _growth(self) -> list[float]:
        most = MOST_GROWTH if self.rng.random() < GROWING else 0.0
        return growth(self.rng, self.recipe.frames, most)

    def _camera(self, labels: NDArray[np.uint8], found: list[Target]) -> _Camera:
        """The whole picture, stretched to a square as live ones are, or the surroundings of one
        of its objects."""
        rng, frames = self.rng, self.recipe.frames
        height, width = labels.shape
        x, y, wide, high = width / 2, height / 2, float(width), float(height)
        if rng.random() < 0.55:
            there = [target for target in found if target]
            focus = np.isin(labels, rng.choice(there)) if there else labels >= 0
            left, top, w, h = cv2.boundingRect(focus.astype(np.uint8))
            side = max(w, h, 24) * rng.uniform(1.0, 4.0)
            stretch = np.exp(rng.uniform(-0.3, 0.3))
            wide, high = min(side * stretch, width), min(side / stretch, height)
            x = left + w / 2 + rng.uniform(-0.35, 0.35) * max(0.0, wide - 0.5 * w)
            y = top + h / 2 + rng.uniform(-0.35, 0.35) * max(0.0, high - 0.5 * h)
            x = min(max(x, wide / 2), width - wide / 2)
            y = min(max(y, high / 2), height - high / 2)
        steps = drift(rng, frames, 1.0, rng.choice((0.02, 0.07)))
        zoom = [max(0.3, step * g) for step, g in zip(steps, self._growth(), strict=True)]
        xs = drift(rng, frames, x, rng.choice((0.005, 0.03, 0.06)) * wide)
        if rng.random() < 0.5 * self.recipe.leaving:
            xs = excursion(rng, xs, absence(rng, frames), wide)
        return _Camera(
            xs,
            drift(rng, frames, y, rng.choice((0.005, 0.03, 0.06)) * high),
            [wide * z for z in zoom],
            [high * z for z in zoom],
            drift(rng, frames, rng.choice((0.0, rng.uniform(-0.25, 0.25))), 0.02),
        )

    def _render(
        self,
        rgb: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        found: list[Target],
        layers: list[_Layer],
    ) -> Clip:
        """All frames, and what is visible of all objects: the picture's, then the layers'."""
        camera = self._camera(labels, found)
        light = Light(self.rng, self.recipe.frames)
        size = (self.side, self.side)
        # Beyond a labelled picture lies another: mirrored or smeared, its objects would be there
        # without being labelled.
        border = cv2.BORDER_TRANSPARENT if found else cv2.BORDER_REFLECT
        beyond = np.zeros((*size, 3), np.uint8)
        if found and self.rng.random() < 0.7:
            beyond = cv2.resize(self.library.draw_background(self.rng), size).astype(np.uint8)
        frames, masks = [], []
        for i in range(self.recipe.frames):
            matrix = camera.matrix(i, self.side)
            shrinks = camera.width[i] > 1.5 * self.side
            smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            view = cv2.warpAffine(rgb, matrix, size, beyond.copy(), smooth, border)
            canvas: NDArray[np.float32] = view.astype(np.float32)
            seen = cv2.warpAffine(labels, matrix, size, flags=cv2.INTER_NEAREST)
            visible = [np.isin(seen, target).astype(np.float32) for target in found]
            for layer in layers:
                drawn, alpha = self._place(layer, i)
                canvas += alpha[..., None] * (drawn * layer.gain + layer.bias - canvas)
                visible = [below * (1 - alpha) for below in visible] + [alpha]
            frames.append(light.apply(canvas, i))
            masks.append([mask > 0.5 for mask in visible])
        stacked = np.array(masks, bool).reshape(len(frames), -1, *size)
        return Clip(np.stack(frames), stacked.transpose(1, 0, 2, 3))

    def _place(self, layer: _Layer, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The thing as it lies in this frame: RGB float32 [S, S, 3] and alpha float32 [S, S]."""
        side = self.side
        if frame in layer.hidden:
            return np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
        rgb, alpha = layer.thing.rgb, layer.thing.alpha
        scale = layer.size[frame] * side / max(alpha.shape)
        if scale < 0.5:
            small = (
                max(4, int(alpha.shape[1] * scale * 2)),
                max(4, int(alpha.shape[0] * scale * 2)),
            )
            rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
            alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA).astype(np.float32)
            scale = layer.size[frame] * side / max(alpha.shape)
        cosine, sine = scale * np.cos(layer.angle[frame]), scale * np.sin(layer.angle[frame])
        linear = np.array([[cosine, layer.shear[frame] * scale - sine], [sine, cosine]])
        middle = np.array([alpha.shape[1] / 2, alpha.shape[0] / 2])
        place = np.array([layer.x[frame] * side, layer.y[frame] * side])
        matrix = np.column_stack([linear, place - linear @ middle])
        size = (side, side)
        drawn = cv2.warpAffine(rgb, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        return drawn.astype(np.float32), cv2.warpAffine(alpha, matrix, size).astype(np.float32)

    def _choose(self, clip: Clip) -> Clip | None:
        """The clip with at most `objects` of its objects, all to be seen in the first frame."""
        pixels = clip.masks[:, 0].sum(axis=(1, 2)) if len(clip.masks) else np.zeros(0)
        least = MIN_PIXELS * (self.side / 256) ** 2
        fit = [i for i, n in enumerate(pixels) if least <= n <= MAX_SHARE * self.side**2]
        if not fit:
            return None
        chosen = self.rng.sample(fit, min(len(fit), self.recipe.objects))
        return Clip(clip.frames, clip.masks[chosen])

    def _cut(self, clip: Clip) -> Clip:
        """Some frames of another scene, where none of the objects is."""
        away = absence(self.rng, len(clip.frames))
        if not away:
            return clip
        other = self._pasted() if self.rng.random() < 0.3 else self._labelled()
        frames, masks = clip.frames.copy(), clip.masks.copy()
        frames[away.start : away.stop] = other.frames[away.start : away.stop]
        masks[:, away.start : away.stop] = False
        return Clip(frames, masks)
