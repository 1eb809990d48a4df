"""The mean of two checkpoints."""

import pytest
import torch

from stream.training.mix import mix


def test_the_mean_lies_between_and_keeps_the_kind() -> None:
    before = {"w": torch.tensor([0.0, 2.0]).half(), "n": torch.tensor(3)}
    after = {"w": torch.tensor([1.0, 4.0]).half(), "n": torch.tensor(5)}
    mixed = mix(before, after, 0.75)
    assert mixed["w"].dtype == torch.float16
    assert mixed["w"].tolist() == [0.75, 3.5]
    assert int(mixed["n"]) == 5
    assert mix(before, after, 0.0)["w"].tolist() == [0.0, 2.0]


def test_two_models_have_no_mean() -> None:
    with pytest.raises(ValueError, match="two models"):
        mix({"a": torch.zeros(1)}, {"b": torch.zeros(1)}, 0.5)
