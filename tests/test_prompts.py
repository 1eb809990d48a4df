"""Prompts are checked against the picture they were made on."""

import numpy as np
import pytest

from stream.errors import PromptError
from stream.prompts import Box, MaskPrompt, Point, Prompt, check

NAN = float("nan")


@pytest.mark.parametrize(
    "prompt",
    [
        Point(1, 0, 0),
        Point(1, 640, 480, positive=False),
        Box(1, 0, 0, 640, 480),
        MaskPrompt(1, np.eye(480, 640, dtype=bool)),
    ],
)
def test_a_prompt_on_the_picture_is_taken(prompt: Prompt) -> None:
    check(prompt, 640, 480)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (Point(1, -0.1, 5), "outside"),
        (Point(1, 5, 480.5), "within 0..480"),
        (Point(1, NAN, 5), "outside"),
        (Box(1, 10, 10, 10, 20), "empty"),
        (Box(1, 20, 10, 10, 20), "wanted 0 <= x0 < x1 <= 640"),
        (Box(1, 10, 10, 700, 20), "outside"),
        (Box(1, 10, NAN, 20, 20), "outside"),
        (MaskPrompt(1, np.zeros((480, 640), bool)), "empty"),
        (MaskPrompt(1, np.ones((640, 480), bool)), r"wanted bool \(480, 640\)"),
        (MaskPrompt(1, np.ones((480, 640), np.uint8)), "uint8"),  # type: ignore[arg-type]
    ],
)
def test_a_prompt_that_does_not_fit_says_what_would(prompt: Prompt, says: str) -> None:
    with pytest.raises(PromptError, match=says):
        check(prompt, 640, 480)
