"""Which words has the embedded model learned? Each asked for on pictures never trained on.

    python -m benchmarks.words --json [--quick] [--data DIR] [--weights FOLDER]

Validation pictures of the training library: J, the IoU with all that the word names, where there
is something to be found, and the share of pictures without it in which nothing is found. The words
that the program offers are LEARNED in stream/track/words.py; this is what that list rests on.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.accuracy import full_size
from benchmarks.davis import DATA
from stream.frames import Frame
from stream.prompts import Text
from stream.track import catalog
from stream.track.networks.onnx import OnnxNetwork
from stream.track.tracker import Tracker
from stream.track.words import LEARNED, WORDS
from stream.training.library import Library, Picture, absent, read_labels, read_rgb, spoken

TRAIN = DATA.parents[1] / "train"
QUICK_PICTURES = 40
LEAST = 3
"""Pictures of a word below which a mean says nothing."""

SMALLEST = 0.002
"""Share of the picture: less than that nobody asks for."""


@dataclass(slots=True)
class Answers:
    """js: where the word names something; quiet: whether nothing was found where it does not."""

    js: list[float] = field(default_factory=list)
    quiet: list[bool] = field(default_factory=list)


def questions(picture: Picture) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Every word that names something in the picture with its mask, and those that name nothing."""
    labels = read_labels(picture)
    named = spoken(picture, labels)
    for word, target in named.items():
        mask = np.isin(labels, target)
        if mask.mean() >= SMALLEST:
            yield word, mask
    for word in absent(picture, list(named)):
        yield word, np.zeros(labels.shape, bool)


def ask(tracker: Tracker, rgb: NDArray[np.uint8], word: str) -> NDArray[np.bool_]:
    tracker.reset()
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    seen = Frame(picture, 0, 0, Fraction(1, 30)).image(tracker.image_size)
    masks = tracker.step(seen, [Text(1, word)])
    return full_size(masks.logits[0], seen.width, seen.height)


def measure(tracker: Tracker, pictures: list[Picture]) -> dict[str, Answers]:
    answers: dict[str, Answers] = {}
    for number, picture in enumerate(tqdm(pictures, "pictures", file=sys.stderr)):
        rgb = read_rgb(picture.image)
        there = 0
        for word, truth in questions(picture):
            if truth.any():
                found = ask(tracker, rgb, word)
                union = np.count_nonzero(found | truth)
                answers.setdefault(word, Answers()).js.append(
                    np.count_nonzero(found & truth) / union
                )
                there += 1
            # Of the absent ones a few, another few each time: there are sixty.
            elif (WORDS.index(word) + number) % 12 == 0:
                found = ask(tracker, rgb, word)
                answers.setdefault(word, Answers()).quiet.append(not found.any())
    return answers


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=TRAIN, help="the training library")
    parser.add_argument("--weights", type=Path, help="a folder of graphs; default: the shipped")
    options = parser.parse_args()
    pictures = Library(options.data, "validation").pictures()
    if options.quick:
        pictures = pictures[:: max(1, len(pictures) // QUICK_PICTURES)]
    network = catalog.load(weights=options.weights)
    assert isinstance(network, OnnxNetwork)
    network.spec = replace(network.spec, words=WORDS)
    answers = measure(Tracker(network), pictures)
    known = {word: found for word, found in answers.items() if len(found.js) >= LEAST}
    ranked = sorted(known, key=lambda word: -float(np.mean(known[word].js)))
    quiet = [silent for found in answers.values() for silent in found.quiet]
    result = {
        "words": {
            word: {
                "J": round(float(np.mean(known[word].js)), 3),
                "pictures": len(known[word].js),
                "unsaid": round(float(np.mean(known[word].quiet)), 3)
                if known[word].quiet
                else None,
            }
            for word in ranked
        },
        "J_offered": round(
            float(np.mean([j for word in LEARNED if word in answers for j in answers[word].js])), 4
        ),
        "unsaid": round(float(np.mean(quiet)), 4),
        "pictures": len(pictures),
    }
    if options.json:
        machine.print_json(result)
    else:
        for word, found in result["words"].items():  # type: ignore[attr-defined]
            print(f"{word:14} {found}")
        print({name: value for name, value in result.items() if name != "words"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
