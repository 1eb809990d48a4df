"""The stages of training: what the batches are made of, and how fast the weights move.

Single pictures teach what a click, a box and a correction mean; clips teach to track. Pictures
come first (clips from the start taught nothing), and stay in the mixture, or the model forgets
where a click lands.
"""

import random
from dataclasses import dataclass

from stream.training.clips import Recipe
from stream.training.prompting import Kind
from stream.training.unroll import Plan


@dataclass(frozen=True, slots=True)
class Bout:
    """One kind of batch.

    recipe: of its clips; frames there is the most, `shortest` the least. clips: in a batch.
    prompts: shares of the kinds. clicks: most corrections of a frame. corrected: chance that a
    later frame is corrected too.
    """

    recipe: Recipe
    clips: int
    prompts: dict[Kind, float]
    shortest: int = 1
    clicks: int = 3
    corrected: float = 0.0

    def plan(self, frames: int, rng: random.Random) -> Plan:
        """What the user does in a batch of clips with so many frames."""
        kind = rng.choices(list(self.prompts), list(self.prompts.values()))[0]
        clicks = {} if kind in ("mask", "word") else {0: rng.randint(0, self.clicks)}
        if frames > 1 and rng.random() < self.corrected:
            clicks[rng.randrange(1, frames)] = rng.randint(1, 2)
        return Plan(kind, clicks)


@dataclass(frozen=True, slots=True)
class Stage:
    """Bouts with their shares, the peak learning rate of all but the trunk, and how many blocks
    of the trunk keep their ImageNet weights."""

    bouts: tuple[tuple[float, Bout], ...]
    rate: float
    frozen: int


PICTURES = Bout(Recipe(), 8, {"click": 0.55, "box": 0.45})
WORDS = Bout(Recipe(objects=3, spoken=True), 8, {"word": 1.0})
CLIPS = Bout(
    Recipe(frames=4, objects=3, leaving=0.25, cuts=0.05),
    3,
    {"click": 0.35, "box": 0.3, "mask": 0.35},
    shortest=2,
    clicks=1,
    corrected=0.3,
)
LONG_CLIPS = Bout(
    Recipe(frames=8, objects=3, leaving=0.3, cuts=0.05),
    2,
    {"click": 0.35, "box": 0.3, "mask": 0.35},
    shortest=5,
    clicks=1,
    corrected=0.3,
)

STAGES = {
    "pictures": Stage(((1.0, PICTURES),), 6e-4, 3),
    "mixed": Stage(((0.5, PICTURES), (0.15, WORDS), (0.35, CLIPS)), 5e-4, 2),
    "clips": Stage(((0.3, PICTURES), (0.1, WORDS), (0.6, CLIPS)), 4e-4, 2),
    "long-clips": Stage(
        ((0.2, PICTURES), (0.2, WORDS), (0.45, CLIPS), (0.15, LONG_CLIPS)), 4e-4, 1
    ),
}
DEFAULT = "mixed"
