"""Batches made in a process beside the training, so that it never waits for a picture."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from stream.training.clips import Clip, ClipMaker
from stream.training.library import Library
from stream.training.schedule import Bout, Stage
from stream.training.unroll import Batch, Plan

PREFETCH = 4
"""Batches that may lie ready."""

Job = tuple[Batch, Plan]


def collate(clips: Sequence[Clip]) -> Batch:
    """Clips of one length, as one batch."""
    images = np.stack([clip.frames for clip in clips], axis=1)
    masks = np.concatenate([clip.masks for clip in clips]).swapaxes(0, 1)
    owner = np.repeat(np.arange(len(clips)), [len(clip.masks) for clip in clips])
    words = [word for clip in clips for word in clip.words]
    return Batch(
        torch.from_numpy(np.ascontiguousarray(images.transpose(0, 1, 4, 2, 3))),
        torch.from_numpy(np.ascontiguousarray(masks)),
        torch.from_numpy(owner),
        torch.tensor(words, dtype=torch.int32),
    )


class Batches(IterableDataset[Job]):
    """Batches of a stage with what the user does in each, for ever, another run of them for
    every seed."""

    def __init__(self, root: Path, stage: Stage, side: int, seed: int) -> None:
        self.root = root
        self.stage = stage
        self.side = side
        self.seed = seed

    def __iter__(self) -> Iterator[Job]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = random.Random(f"{self.seed} {worker.id if worker else 0}")
        library = Library(self.root)
        shares = [share for share, _ in self.stage.bouts]
        bouts = [bout for _, bout in self.stage.bouts]
        while True:
            yield self._batch(library, rng.choices(bouts, shares)[0], rng)

    def _batch(self, library: Library, bout: Bout, rng: random.Random) -> Job:
        frames = rng.randint(bout.shortest, bout.recipe.frames)
        maker = ClipMaker(library, replace(bout.recipe, frames=frames), rng, self.side)
        batch = collate([maker.make() for _ in range(bout.clips)])
        return batch, bout.plan(frames, rng)


def batches(root: Path, stage: Stage, side: int, seed: int, workers: int) -> Iterator[Job]:
    """Made in `workers` processes; in this one when there are none."""
    data = Batches(root, stage, side, seed)
    loader = DataLoader(
        data,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        # A forked process would inherit OpenCV's and torch's locks without their threads.
        multiprocessing_context="spawn" if workers else None,
    )
    yield from loader
