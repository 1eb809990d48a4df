"""The training loop: steps until the time is over, a log, and checkpoints to go on from."""

import json
import math
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from stream.training.average import Average
from stream.training.checkpoint import NANO, nano_model
from stream.training.loader import batches
from stream.training.losses import iou, losses
from stream.training.normalise import normalise
from stream.training.schedule import STAGES, Stage
from stream.training.unroll import Batch, Plan, Unroller
from stream.training.validation import Validation

WEIGHT_DECAY = 0.02
TRUNK_RATE = 0.25
"""Of the rate of the rest: the trunk comes trained, from ImageNet."""

WARM_UP = 60
"""Steps in which the rate climbs to its peak."""

LAST_RATE = 0.03
"""Of the peak, at the end of the cosine."""

CLIP_NORM = 1.0

LOSS_SIDE = 2
"""Masks are compared at twice the decoder's resolution, against the share of each cell covered:
finer edges than the decoder's cells at a quarter of the cost of the whole picture."""

ELSEWHERE = 0.15
"""Of the corrections that are given where nothing is wrong, as people also do."""

LOG_STEPS = 20
SAVE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Options:
    """data: the folder with the pictures. out: for checkpoints and the log. hours: of this run.
    stage: one of STAGES. init: weights to begin from when `out` has none. size: side of the input
    in pixels; None: that of `init`. threads: of torch. workers: processes that make batches.
    half: bfloat16 where it is safe. validate_minutes: between two looks at the validation
    pictures. share: of those."""

    data: Path
    out: Path
    hours: float
    stage: str
    init: Path = NANO
    size: int | None = None
    threads: int = os.cpu_count() or 1
    workers: int = 1
    half: bool = True
    validate_minutes: float = 15.0
    share: float = 1.0


class Training:
    """One run: the model, its average, the optimiser, and where they are kept.

    `out/nano.pt` is the average in float16, as stream.training.checkpoint and the export read it;
    `out/state.pt` is everything, to go on from; `out/log.jsonl` has a line now and then.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stage: Stage = STAGES[options.stage]
        options.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(options.threads)
        state = _read_state(options.out / "state.pt")
        self.model: SAM2Base = nano_model(options.init, image_size=options.size)
        self.model.to(memory_format=torch.channels_last)
        if options.half:
            _keep_full(self.model)
        if state:
            self.model.load_state_dict(state["model"])
        self.average = Average(self.model)
        self.optimiser = _optimiser(self.model, self.stage)
        self.steps = 0
        if state:
            self.average.state = state["average"]
            self.average.steps = self.steps = state["steps"]
            if state["stage"] == options.stage:
                self.optimiser.load_state_dict(state["optimiser"])
        self.seed = self.steps
        self.random = np.random.default_rng(self.seed)
        random.seed(self.seed)
        torch.manual_seed(self.seed)
        self.unroller = Unroller(self.model, self.random, ELSEWHERE)

    def run(self) -> None:
        """Train for `hours`, then save and validate."""
        options = self.options
        validation = Validation(options.data, self.model.image_size, options.share)
        self._validate(validation)
        started = saved = validated = time.monotonic()
        seconds = options.hours * 3600
        sums: dict[str, list[float]] = defaultdict(list)
        data = batches(options.data, self.stage, self.model.image_size, self.seed, options.workers)
        with tqdm(total=round(seconds), unit="s", desc=options.stage) as bar:
            for done, (batch, plan) in enumerate(data, 1):
                elapsed = time.monotonic() - started
                if elapsed >= seconds:
                    break
                self._set_rate(done, elapsed / seconds)
                for name, value in self.step(batch, plan).items():
                    sums[name].append(value)
                bar.update(min(round(seconds), round(time.monotonic() - started)) - bar.n)
                if done % LOG_STEPS == 0:
                    means = {name: round(float(np.mean(v)), 4) for name, v in sums.items()}
                    bar.set_postfix(loss=means["loss"], s=means["seconds"])
                    self._log({"step": self.steps, "minutes": round(elapsed / 60, 2), **means})
                    sums.clear()
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
                if time.monotonic() - validated > 60 * options.validate_minutes:
                    self._validate(validation)
                    validated = time.monotonic()
        self.save()
        self._validate(validation)

    def step(self, batch: Batch, plan: Plan) -> dict[str, float]:
        """One update of the weights. Returns the losses and J by name."""
        begun = time.monotonic()
        model = self.model
        model.train()
        # The trunk's batch norms keep ImageNet's statistics: batches here are small and alike.
        trunk: Any = model.image_encoder.trunk
        trunk.eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.half):
            decodings = self.unroller.run(batch, normalise(batch.images), plan)
        measured: dict[str, list[float]] = defaultdict(list)
        total = torch.zeros(())
        truths = [_coverage(masks, decodings[0].logits.shape[-1]) for masks in batch.masks]
        for decoding in decodings:
            truth = truths[decoding.frame]
            loss = losses(decoding.logits, decoding.ious, decoding.score, truth)
            total = total + loss.total
            for part in ("entropy", "dice", "iou", "score"):
                measured[part].append(float(getattr(loss, part).detach()))
            name = f"J_{plan.prompt}" if decoding.frame == 0 else "J_track"
            if decoding.clicks:
                name = "J_corrected"
            measured[name].extend(_regions(decoding.found, batch.masks[decoding.frame]))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        parameters = [p for p in model.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        if torch.isfinite(norm):
            self.optimiser.step()
            self.average.update(model)
        self.steps += 1
        values = {name: float(np.mean(found)) for name, found in measured.items() if found}
        return {
            **values,
            "loss": float(total.detach()) / len(decodings),
            "norm": float(norm),
            "seconds": time.monotonic() - begun,
        }

    def save(self) -> None:
        """Write both checkpoints; a reader finds the old or the new ones, never a part."""
        out = self.options.out
        shipped = {"model": self.average.half(), "image_size": self.model.image_size}
        _write(out / "nano.pt", shipped)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "stage": self.options.stage,
        }
        _write(out / "state.pt", state)

    def _set_rate(self, done: int, share: float) -> None:
        """Linear warm-up over the first steps of this run, then a cosine over its time."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        factor = min(1.0, done / WARM_UP) * (LAST_RATE + (1 - LAST_RATE) * cosine)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor

    def _validate(self, validation: Validation) -> None:
        """Of the average."""
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        found = validation.measure(self.model)
        self.model.load_state_dict(weights)
        self._log({"step": self.steps, "validation": found})
        tqdm.write(" ".join(f"{name} {value:.3f}" for name, value in found.items()))

    def _log(self, line: dict[str, Any]) -> None:
        line = {"time": time.strftime("%H:%M:%S"), "stage": self.options.stage, **line}
        with (self.options.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def _optimiser(model: SAM2Base, stage: Stage) -> torch.optim.AdamW:
    trunk: Any = model.image_encoder.trunk
    for module in (trunk.stem, *trunk.blocks[: stage.frozen]):
        module.requires_grad_(False)
    of_trunk = {id(parameter) for parameter in trunk.parameters()}
    learned = [p for p in model.parameters() if p.requires_grad]
    rate, slow = stage.rate, stage.rate * TRUNK_RATE
    return torch.optim.AdamW(
        [
            {"params": [p for p in learned if id(p) not in of_trunk], "lr": rate, "peak": rate},
            {"params": [p for p in learned if id(p) in of_trunk], "lr": slow, "peak": slow},
        ],
        weight_decay=WEIGHT_DECAY,
    )


def _keep_full(model: SAM2Base) -> None:
    """Depthwise convolutions stay in float32: their gradients in bfloat16 take thrice the time."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            setattr(module, "forward", _full(module.forward))  # noqa: B010 (mypy)


def _full(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def in_full(x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(x.float())

    return in_full


def _coverage(masks: Tensor, cells: int) -> Tensor:
    """bool [N, S, S] -> float32 [N, LOSS_SIDE * cells, LOSS_SIDE * cells], 0 to 1."""
    return F.adaptive_avg_pool2d(masks[:, None].float(), LOSS_SIDE * cells)[:, 0]


def _regions(found: np.ndarray[Any, np.dtype[np.bool_]], truth: Tensor) -> list[float]:
    """J of the objects that are there."""
    logits = torch.from_numpy(found)[:, None].float() - 0.5
    values = iou(logits, truth[:, None].float())[:, 0]
    return [float(value) for value in values[truth.flatten(1).any(1)]]


def _read_state(path: Path) -> dict[str, Any] | None:
    return torch.load(path, "cpu", weights_only=True) if path.exists() else None


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    torch.save(content, part)
    part.replace(path)
