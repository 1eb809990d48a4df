"""Prompts with the time at which they are given, as written on a command line.

    [OBJECT:]X,Y[@TIME]             a point
    [OBJECT:]X0,Y0,X1,Y1[@TIME]     a box
    [OBJECT:]FILE[@TIME]            a mask: a picture, white on black
    [OBJECT:]WORD[@TIME]            a word, for all that it names

OBJECT is a number from 1, by default 1. TIME is in seconds (`2.5`) or clock time (`1:02.5`,
`1:00:02.5`), by default 0, and counts from the first picture. A prompt goes to the first picture
that is not earlier.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from stream import limits, media
from stream.compose import backgrounds
from stream.errors import LimitError, MediaError, PromptError
from stream.prompts import Box, MaskPrompt, Point, Prompt, Text, check

_CUE = re.compile(
    r"(?:([0-9]{1,6}):)?(.*?)"
    r"(?:@(?:(?:([0-9]{1,4}):)?([0-9]{1,4}):)?([0-9]{1,9}(?:\.[0-9]{1,9})?))?",
    re.DOTALL | re.ASCII,
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Cue:
    """time: seconds after the first picture."""

    time: Fraction
    prompt: Prompt


def point(text: str, *, positive: bool = True) -> Cue:
    """Raises PromptError."""
    object_id, what, time = _split(text)
    x, y = _numbers(text, what, 2, "[OBJECT:]X,Y[@TIME], for example 320,240 or 2:320,240@1.5")
    return Cue(time, Point(object_id, x, y, positive))


def box(text: str) -> Cue:
    """Raises PromptError."""
    object_id, what, time = _split(text)
    wanted = "[OBJECT:]X0,Y0,X1,Y1[@TIME], for example 40,60,200,300 or 2:40,60,200,300@1.5"
    x0, y0, x1, y1 = _numbers(text, what, 4, wanted)
    return Cue(time, Box(object_id, x0, y0, x1, y1))


def mask(text: str) -> Cue:
    """The object is where the picture is brighter than half of its brightest pixel.

    Raises PromptError, and MediaError or LimitError when the file is no picture to be used.
    """
    object_id, name, time = _split(text)
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise MediaError(f"cannot read mask {name}: {media.reason(error)}") from error
    try:
        brightness = backgrounds.decode(data).max(axis=2)
    except LimitError as error:
        raise LimitError(f"mask {name} is larger than any video that can be tracked") from error
    except MediaError as error:
        raise MediaError(f"mask {name} is no PNG, JPEG or WebP picture, or is damaged") from error
    return Cue(time, MaskPrompt(object_id, brightness > brightness.max() // 2))


def text(given: str) -> Cue:
    """Raises PromptError."""
    object_id, what, time = _split(given)
    if not what.strip():
        raise PromptError(f"{given!r} names nothing; wanted [OBJECT:]WORD[@TIME], such as person")
    return Cue(time, Text(object_id, what.strip()))


class Schedule:
    """Gives every prompt to the first picture whose time has come, earliest first.

    Raises PromptError when an object's first prompt shows only what it is not, or when one
    object gets two boxes or masks at once; LimitError when there are too many objects.
    """

    def __init__(self, cues: Iterable[Cue]) -> None:
        self._cues = sorted(cues, key=lambda cue: (cue.time, _order(cue.prompt)))
        _check_objects(self._cues)

    def __len__(self) -> int:
        """Prompts not given yet."""
        return len(self._cues)

    @property
    def texts(self) -> list[str]:
        """Words and phrases among those not given yet."""
        return [cue.prompt.word for cue in self._cues if isinstance(cue.prompt, Text)]

    def check(self, width: int, height: int) -> None:
        """Raise PromptError unless every prompt lies within pictures of this size."""
        for cue in self._cues:
            check(cue.prompt, width, height)

    def check_over(self, end: float | Fraction) -> None:
        """Raise PromptError if a prompt that is left is later than `end`, in seconds."""
        for cue in self._cues:
            if cue.time > end:
                raise PromptError(
                    f"a prompt is given at {float(cue.time):g} s, "
                    f"but the video ends at {float(end):.2f} s"
                )

    def due(self, time: Fraction) -> list[Prompt]:
        """Those for a picture of this time, which are then given."""
        count = sum(cue.time <= time for cue in self._cues)
        due, self._cues = self._cues[:count], self._cues[count:]
        return [cue.prompt for cue in due]


def _order(prompt: Prompt) -> int:
    """Of one moment's prompts: first what says what the object is, then what refines it."""
    match prompt:
        case Text() | MaskPrompt():
            return 0
        case Box():
            return 1
        case Point(positive=True):
            return 2
    return 3


def _check_objects(cues: Sequence[Cue]) -> None:
    shown: set[int] = set()
    placed: set[tuple[int, Fraction]] = set()
    for cue in cues:
        object_id = cue.prompt.object_id
        match cue.prompt:
            case Point(positive=positive):
                if not positive and object_id not in shown:
                    raise PromptError(
                        f"object {object_id} begins with a negative point; "
                        "first show what it is, with a point, box or mask"
                    )
            case Box() | MaskPrompt() | Text():
                if (object_id, cue.time) in placed:
                    raise PromptError(
                        f"object {object_id} has two boxes, masks or words at one time; "
                        "number the objects, for example 1:40,60,200,300 and 2:220,60,380,300"
                    )
                placed.add((object_id, cue.time))
        shown.add(object_id)
    if len(shown) > limits.MAX_OBJECTS:
        raise LimitError(
            f"{len(shown)} objects are given; at most {limits.MAX_OBJECTS} can be tracked"
        )


def _split(text: str) -> tuple[int, str, Fraction]:
    """Object, what is between, and time."""
    parts = _CUE.fullmatch(text)
    assert parts is not None
    number, what, hours, minutes, seconds = parts.groups()
    if number is not None and int(number) == 0:
        raise PromptError(f"{text!r} names object 0; objects are numbered from 1")
    time = int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds or 0)
    return int(number or 1), what, time


def _numbers(text: str, what: str, count: int, wanted: str) -> list[float]:
    parts = [part.strip() for part in what.split(",")]
    if len(parts) != count or not all(map(_NUMBER.fullmatch, parts)):
        raise PromptError(f"{text!r} is not understood; wanted {wanted}")
    return [float(part) for part in parts]
