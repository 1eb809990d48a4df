"""A training step changes the right weights, runs go on where they stopped, and a model that is
shown one batch again and again learns it."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream.training.checkpoint import nano_model
from stream.training.clips import ClipMaker, Recipe
from stream.training.library import Library
from stream.training.loader import Batches, batches, collate
from stream.training.loop import Options, Training
from stream.training.schedule import STAGES, Stage
from stream.training.unroll import Batch, Plan
from tests.training_pictures import draw

SIZE = 128
"""Of the input, in pixels: smaller than any model's, and faster."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return draw(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def options(root: Path, tmp_path: Path) -> Options:
    return Options(root, tmp_path, 0.0, "mixed", size=SIZE, threads=1, workers=0, share=0.02)


def batch(root: Path, frames: int, clips: int = 2) -> Batch:
    recipe = Recipe(frames=frames, objects=2, pasted=0.0)
    maker = ClipMaker(Library(root), recipe, random.Random(frames), SIZE)
    return collate([maker.make() for _ in range(clips)])


def test_batches_keep_objects_with_their_pictures(root: Path) -> None:
    recipe = Recipe(frames=2, objects=2, pasted=0.0)
    maker = ClipMaker(Library(root), recipe, random.Random(0), 64)
    clips = [maker.make() for _ in range(3)]
    joined = collate(clips)
    assert joined.images.shape == (2, 3, 3, 64, 64)
    row = 0
    for i, clip in enumerate(clips):
        assert np.array_equal(joined.images[:, i].permute(0, 2, 3, 1).numpy(), clip.frames)
        for mask in clip.masks:
            assert joined.owner[row] == i
            assert np.array_equal(joined.masks[:, row].numpy(), mask)
            row += 1
    assert row == joined.masks.shape[1]


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_makes_batches_it_can_run(root: Path, name: str) -> None:
    rng = random.Random(1)
    made = iter(Batches(root, STAGES[name], 64, 1))
    for _ in range(4):
        found, plan = next(made)
        assert len(found.images) == len(found.masks)
        assert max(plan.clicks, default=0) < len(found.images)
        assert plan.prompt != "mask" or len(found.images) > 1
    for _, bout in STAGES[name].bouts:
        for frames in range(bout.shortest, bout.recipe.frames + 1):
            assert bout.plan(frames, rng).prompt in bout.prompts


def test_batches_come_from_another_process_too(root: Path) -> None:
    inside = batches(root, STAGES["pictures"], 64, 3, workers=0)
    beside = batches(root, STAGES["pictures"], 64, 3, workers=1)
    for _ in range(2):
        (first, plan), (second, same) = next(inside), next(beside)
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.masks, second.masks)
        assert plan == same


@pytest.mark.parametrize("plan", [
    Plan("click", {0: 2}),
    Plan("box", {0: 1, 1: 1}),
    Plan("mask", {1: 1}),
])  # fmt: skip
def test_decodings_follow_the_plan(root: Path, options: Options, plan: Plan) -> None:
    training = Training(options)
    frames = 2
    given = batch(root, frames)
    with torch.inference_mode():
        from stream.training.normalise import normalise

        found = training.unroller.run(given, normalise(given.images), plan)
    asked = [(t, n) for t in range(frames) for n in range(plan.clicks.get(t, 0) + 1)]
    if plan.prompt == "mask":
        asked = [step for step in asked if step[0] > 0]
    assert [(d.frame, d.clicks) for d in found] == asked
    for decoding in found:
        points = decoding.clicks + {"click": 1, "box": 2, "mask": 0}[plan.prompt]
        several = points <= 1 if decoding.frame == 0 else decoding.clicks <= 1
        assert decoding.logits.shape[:2] == (given.masks.shape[1], 3 if several else 1)


def test_a_step_moves_all_but_the_frozen_weights(root: Path, options: Options) -> None:
    training = Training(options)
    training._set_rate(60, 0.0)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    for plan in (Plan("click", {0: 1, 1: 1}), Plan("box", {0: 1}), Plan("mask", {})):
        measured = training.step(batch(root, 2), plan)
        assert all(np.isfinite(value) for value in measured.values())
    after = training.model.state_dict()
    still = [name for name in before if torch.equal(before[name], after[name])]
    trunk = "image_encoder.trunk"
    frozen = (f"{trunk}.stem", *(f"{trunk}.blocks.{i}." for i in range(training.stage.frozen)))
    assert {name for name in before if name.startswith(frozen)} <= set(still)
    moved = {name.split(".")[0] for name in before if name not in still}
    assert {"image_encoder", "memory_attention", "memory_encoder", "sam_mask_decoder",
            "sam_prompt_encoder", "obj_ptr_proj"} <= moved  # fmt: skip
    assert not any("running_" in name for name in before if name not in still)


def test_one_batch_shown_again_and_again_is_learned(
    root: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = Stage(STAGES["pictures"].bouts, 1e-3, 16)
    monkeypatch.setitem(STAGES, "mixed", eager)
    training = Training(options)
    given = batch(root, 1)
    losses = []
    for i in range(12):
        training._set_rate(20 + 4 * i, 0.0)
        losses.append(training.step(given, Plan("click", {}))["loss"])
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


def test_a_later_run_goes_on_where_the_first_stopped(options: Options) -> None:
    first = Training(options)
    first.step(batch(options.data, 1), Plan("click", {}))
    first.save()
    second = Training(options)
    assert second.steps == 1
    for mine, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(mine, other)
    for name, value in first.average.state.items():
        assert torch.equal(value, second.average.state[name])
    shipped = nano_model(options.out / "nano.pt").state_dict()
    for name, value in first.average.state.items():
        assert torch.equal(shipped[name], value.half().to(shipped[name].dtype))
    assert not list(options.out.glob("*.part"))


def test_a_whole_run_leaves_checkpoints_and_a_log(options: Options) -> None:
    Training(replace(options, hours=3 / 3600)).run()
    lines = [json.loads(line) for line in (options.out / "log.jsonl").read_text().splitlines()]
    measured = [line["validation"] for line in lines if "validation" in line]
    assert len(measured) == 2
    for found in measured:
        assert {"click", "clicks3", "box", "which", "empty", "track_click"} <= set(found)
        assert all(0 <= value <= 1 for value in found.values())
    assert (options.out / "nano.pt").stat().st_size < 25e6
    assert (options.out / "state.pt").exists()
