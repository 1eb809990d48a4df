"""Objects asked for by a word: found when they come, asked for again when they are gone.

The network is a stand-in that sees a person where a picture is bright; what is tested is when it
is asked, and what is remembered.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.errors import PromptError
from stream.frames import Image
from stream.prompts import Point, Text
from stream.track.networks.base import FIRST_WORD, Decoded, Points, Recall, Spec
from stream.track.tracker import Compat, Tracker
from stream.track.words import WORDS

SIDE = 16


class BrightNetwork:
    """asked: labels of the points of each call. forgetful: memories deny what they are shown."""

    spec = Spec(SIDE, words=("cat", "person"))

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.forgetful = False

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> Sequence[bool]:
        return [bool(picture.mean() > 100) for picture in pictures]

    def attend(self, features: Sequence[bool], recalls: Sequence[Recall | None]) -> list[Any]:
        assert all(recall is None or recall.spatial for recall in recalls)
        return [recall is not None for recall in recalls]

    def decode(
        self,
        features: Sequence[bool],
        conditioned: Sequence[bool],
        points: Points | None = None,
        logits: object = None,
    ) -> list[Decoded]:
        if points is not None:
            self.asked.append(tuple(points.labels.tolist()))
        return [
            self._decoded(bright and not (remembers and self.forgetful))
            for bright, remembers in zip(features, conditioned, strict=True)
        ]

    def _decoded(self, seen: bool) -> Decoded:
        logits = np.full((SIDE // 4, SIDE // 4), 5 if seen else -1024, np.float32)
        return Decoded(logits, np.zeros(4, np.float32), 5.0 if seen else -5.0, 0.9)

    def decode_mask(self, features: bool, mask: NDArray[np.bool_]) -> Decoded:
        return self._decoded(bool(mask.any()))

    def encode_memory(
        self, features: Sequence[bool], decoded: Sequence[Decoded], prompted: bool
    ) -> list[Any]:
        return [np.zeros((4, 1, 1), np.uint16) for _ in features]

    def to_array(self, tensor: Any) -> Any:
        return tensor

    def to_tensor(self, array: Any) -> Any:
        return array


def image(index: int, bright: bool) -> Image:
    return Image(np.full((SIDE, SIDE, 3), 200 if bright else 10, np.uint8), 32, 32, index)


@pytest.fixture
def network() -> BrightNetwork:
    return BrightNetwork()


@pytest.fixture
def tracker(network: BrightNetwork) -> Tracker:
    return Tracker(network)  # type: ignore[arg-type]


PERSON = FIRST_WORD + WORDS.index("person")


def test_who_is_there_is_found_and_then_tracked(tracker: Tracker, network: BrightNetwork) -> None:
    assert tracker.step(image(0, True), [Text(1, "Man")]).scores[0] > 0
    assert network.asked == [(PERSON,)]
    tracker.step(image(1, True))
    assert network.asked == [(PERSON,)]


def test_who_is_not_there_yet_is_found_when_he_comes(
    tracker: Tracker, network: BrightNetwork
) -> None:
    assert tracker.step(image(0, False), [Text(1, "person")]).scores[0] <= 0
    assert tracker.object_ids == (1,)
    assert tracker.step(image(1, False)).scores[0] <= 0
    assert tracker.step(image(2, True)).scores[0] > 0
    assert network.asked == [(PERSON,)] * 3
    tracker.step(image(3, True))
    assert network.asked == [(PERSON,)] * 3


def test_who_is_lost_is_asked_for_again(tracker: Tracker, network: BrightNetwork) -> None:
    tracker.step(image(0, True), [Text(1, "person")])
    assert tracker.step(image(1, False)).scores[0] <= 0
    network.forgetful = True
    assert tracker.step(image(2, True)).scores[0] > 0
    assert network.asked == [(PERSON,)] * 3


def test_whoever_was_clicked_on_is_never_asked_for(
    tracker: Tracker, network: BrightNetwork
) -> None:
    tracker.step(image(0, True), [Point(1, 16, 16)])
    asked = list(network.asked)
    tracker.step(image(1, False))
    assert network.asked == asked


@pytest.mark.parametrize("compat", ["live", "official"])
def test_a_word_is_refined_by_clicks_and_taken_back(network: BrightNetwork, compat: Compat) -> None:
    tracker = Tracker(network, compat)  # type: ignore[arg-type]
    tracker.step(image(0, True), [Text(1, "person"), Point(1, 16, 16), Point(1, 2, 2, False)])
    assert network.asked == [(PERSON,), (1, 0)]
    tracker.undo()
    assert tracker.object_ids == ()


def test_a_word_survives_a_snapshot(tracker: Tracker, network: BrightNetwork) -> None:
    tracker.step(image(0, False), [Text(1, "person")])
    other = Tracker(network)  # type: ignore[arg-type]
    other.restore(tracker.snapshot())
    assert other.step(image(1, True)).scores[0] > 0


def test_an_unknown_word_changes_nothing(tracker: Tracker) -> None:
    with pytest.raises(PromptError, match="Known are: cat, person"):
        tracker.step(image(0, True), [Text(1, "zeppelin")])
    assert tracker.object_ids == ()
