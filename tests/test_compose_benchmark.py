"""The benchmark of effects: its stages are parts of the time it tells, timed from outside."""

from types import SimpleNamespace

import pytest

from benchmarks import compose, stopwatch


class Work:
    """Takes as many seconds as it says, by a clock of its own."""

    clock = 0.0

    @classmethod
    def inner(cls) -> str:
        cls.clock += 3
        return "done"

    def outer(self) -> str:
        Work.clock += 1
        return self.inner()


def test_a_stage_is_without_those_within_it_and_all_is_as_it_was_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(perf_counter=lambda: Work.clock)
    monkeypatch.setattr(stopwatch, "time", clock)
    watch = stopwatch.Stopwatch()
    outer, inner = vars(Work)["outer"], vars(Work)["inner"]
    with watch.timed(Work, "outer", "outer"), watch.timed(Work, "inner", "inner"):
        assert Work().outer() == "done"
    assert watch.times == {"outer": 1, "inner": 3}
    assert (vars(Work)["outer"], vars(Work)["inner"]) == (outer, inner)


@pytest.mark.parametrize(("name", "spills"), [("picture", True), ("overlay", False)])
def test_stages_are_parts_of_the_whole(name: str, spills: bool) -> None:
    run = compose.ours(name, compose.disc, 320, 180, 4)
    for whole, stages in zip(run.times, run.stages, strict=True):
        assert 0 < sum(stages.values()) <= whole
        assert set(stages) <= set(compose.STAGES)
    for stage in set(compose.STAGES) - {"spill"}:
        assert run.stage(stage) > 0, stage
    assert (run.stage("spill") > 0) == spills
