"""A job's process from the inside: what it may use, and with which models it can work."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream import loading
from stream.jobs import process, runner
from stream.limits import BIG_JOB_MEMORY, JOB_MEMORY
from stream.settings import Settings
from tests import drawn_clips as clips

CPU_SECONDS_OF_A_PICTURE = 18
"""Of sam2.1-tiny at 1024 on two cores: 9 s of both (docs/models.md)."""


def orders(folder: Path, settings: Settings, **request: Any) -> dict[str, Any]:
    (folder / "output").mkdir()
    return {
        "input": str(clips.make(folder / "input.mp4", count=4)),
        "output": str(folder / "output"),
        "request": {"prompts": [{"point": [60, 60]}], "exports": ["mask"], **request},
        "network": loading.as_json(settings),
        "duration": 0.134,
        "niceness": 0,
    }


async def test_it_keeps_the_pace_that_it_is_told(tmp_path: Path) -> None:
    """One picture after the other at that rate, and the rest at once when it may."""
    times: list[float] = []

    async def told() -> AsyncIterator[dict[str, Any]]:
        yield {"rate": 1}
        while len(times) < 4:  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
        yield {"rate": None}

    def heard(report: dict[str, Any]) -> None:
        if "seconds" not in report:
            times.append(time.monotonic())

    wanted = orders(tmp_path, Settings())
    clips.make(Path(wanted["input"]), count=24)
    wanted["duration"] = 24 * 1001 / 30000
    done = await process.run("stream.jobs.runner", wanted, 60, heard, told())
    assert done["frames"] == 24
    # Reports come from one process and are read by another: none is early, the first may be late.
    assert times[3] - times[0] > 3 - 1
    assert time.monotonic() - times[3] < 20


class Silent:
    def say(self, **report: Any) -> None:
        pass


@pytest.mark.parametrize("is_small", [True, False])
def test_what_it_may_use(is_small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full model takes a hundred times as long as the embedded one, and has to get so much."""
    given: list[Any] = []
    monkeypatch.setattr(runner, "_tracker", lambda settings, request: (None, is_small))
    monkeypatch.setattr(runner, "run", lambda *parts: (0, 0))
    monkeypatch.setattr(runner, "confine", lambda *limits, **more: given.append((limits, more)))
    wanted = {**orders(tmp_path, Settings()), "duration": 10}
    runner._work(wanted, Silent())  # type: ignore[arg-type]
    (((memory, seconds), more),) = given
    assert memory == (JOB_MEMORY if is_small else BIG_JOB_MEMORY)
    assert more == ({} if is_small else {"reserves": True})
    assert (seconds > 10 * 30 * CPU_SECONDS_OF_A_PICTURE) is not is_small


@pytest.mark.slow
async def test_a_full_model(tmp_path: Path) -> None:
    """Within its limits, which PyTorch's own reservations do not touch."""
    import torch

    from stream.track.catalog import sam21_model

    weights = tmp_path / "weights.pt"
    torch.save({"model": sam21_model("sam2.1-tiny", 256, seed=0).state_dict()}, weights)
    settings = Settings(model="sam2.1-tiny@256", weights=weights, device="cpu")
    done = await process.run("stream.jobs.runner", orders(tmp_path, settings), 120)
    assert done["frames"] == 4
    assert len(clips.pictures(tmp_path / "output" / "mask.mp4")) == 4
