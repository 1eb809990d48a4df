"""What a job is asked to do: JSON -> prompts, effect and exports, checked.

{"prompts": [{"object": 1, "frame": 0, "points": [[320, 240]], "negative": [[10, 10]]},
             {"object": 2, "text": "person"}, {"object": 3, "box": [10, 20, 110, 220]}],
 "effect": {"name": "blur", "strength": 0.5}, "exports": ["video", "coco"]}

"effect" may also be a name, or a list of several, the lowest first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stream.compose import backgrounds, effect_fields
from stream.compose.effects import Effect, Stack
from stream.cues import Cue, Schedule
from stream.errors import InputError, LimitError, PromptError
from stream.limits import MAX_JOB_PROMPTS, MAX_WORD
from stream.prompts import Box, Point, Prompt, Text
from stream.track import words

FILES = {
    "video": "video.mp4",
    "overlay": "overlay.mp4",
    "mask": "mask.mp4",
    "coco": "coco.json",
    "yolo": "yolo.zip",
    "png": "davis.zip",
    "mot": "mot.txt",
    "cutout": "cutout.webm",
}
"""Export -> the name of its file."""

DEFAULT_EXPORTS = ("video",)

VIDEOS = frozenset({"video", "overlay", "mask"})
"""Those with sound."""

MAX_OBJECT = 255
"""The highest number of an object: what a pixel of an indexed PNG can say."""

MAX_FRAME = 10**7

_PROMPT_FIELDS = frozenset({"object", "frame", "point", "points", "negative", "box", "text"})
_FIELDS = frozenset({"input", "prompts", "effect", "exports", "model"})


@dataclass(frozen=True, slots=True)
class Request:
    """cues: with the frame's number, from 0, for their time. names: what each object is called.
    model: None: the server's own; which others there are is the server's to say."""

    cues: tuple[Cue, ...]
    names: dict[int, str]
    effects: Stack
    exports: tuple[str, ...]
    model: str | None = None

    def schedule(self) -> "FrameSchedule":
        """Raises PromptError, LimitError."""
        return FrameSchedule(self.cues)

    @property
    def texts(self) -> list[str]:
        """Words and phrases that objects are asked for by."""
        return [cue.prompt.word for cue in self.cues if isinstance(cue.prompt, Text)]

    def check_words(self, known: Sequence[str], phrases: bool = False) -> None:
        """Raise PromptError for a word that is not among those the network offers. phrases: there
        is a detector for any."""
        for text in self.texts:
            words.resolve(text, known, phrases)


class FrameSchedule(Schedule):
    """Gives prompts to frames by their number: each call of `due` is for the next frame."""

    def __init__(self, cues: Sequence[Cue]) -> None:
        super().__init__(cues)
        self._last = max((cue.time for cue in cues), default=Fraction(0))
        self._frame = 0

    def due(self, time: Fraction) -> list[Prompt]:
        frame, self._frame = self._frame, self._frame + 1
        return super().due(Fraction(frame))

    def check_frames(self, count: int) -> None:
        """Raise PromptError for a prompt on a frame that a video of `count` frames has not."""
        if len(self) and self._last >= count:
            raise PromptError(
                f"a prompt is given for frame {self._last}, but the video has {count} frames"
            )

    def check_over(self, end: float | Fraction) -> None:
        """Raise PromptError if a prompt is left when the pictures are over."""
        if len(self) and self._frame:
            raise PromptError(
                f"a prompt is given for frame {self._last}, but the video has {self._frame} frames"
            )


def parse(body: Any) -> Request:
    """Raises InputError (also PromptError, EffectError) and LimitError."""
    if not isinstance(body, dict):
        raise InputError("the request is no JSON object")
    _known(body, _FIELDS, "the request", InputError)
    given = body.get("prompts")
    if not isinstance(given, list) or not given:
        raise PromptError('"prompts" is to be a list of at least one prompt')
    if len(given) > MAX_JOB_PROMPTS:
        raise LimitError(f"{len(given)} prompts are given; at most {MAX_JOB_PROMPTS} are taken")
    cues: list[Cue] = []
    names: dict[int, str] = {}
    for prompt in given:
        _add(prompt, cues, names)
    model = body.get("model")
    if model is not None and not (isinstance(model, str) and 0 < len(model) <= MAX_WORD):
        raise InputError(f"model is {_short(model)}; wanted a name such as nano")
    request = Request(
        tuple(cues),
        names,
        _effects(body.get("effect")),
        _exports(body.get("exports", list(DEFAULT_EXPORTS))),
        model,
    )
    request.schedule()
    return request


def _add(given: Any, cues: list[Cue], names: dict[int, str]) -> None:
    if not isinstance(given, dict):
        raise PromptError(f'a prompt is {_short(given)}; wanted {{"object": 1, "point": [x, y]}}')
    _known(given, _PROMPT_FIELDS, "a prompt", PromptError)
    object_id = _whole(given.get("object", 1), "object", 1, MAX_OBJECT)
    frame = Fraction(_whole(given.get("frame", 0), "frame", 0, MAX_FRAME))
    found: list[Prompt] = []
    if "text" in given:
        text = given["text"]
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_WORD:
            raise PromptError(f"text is {_short(text)}; wanted a word of up to {MAX_WORD} letters")
        found.append(Text(object_id, text.strip()))
        names.setdefault(object_id, words.canonical(text.strip()))
    if "box" in given:
        x0, y0, x1, y1 = numbers(given["box"], 4, "box", "[x0, y0, x1, y1]")
        found.append(Box(object_id, x0, y0, x1, y1))
    positive = [given["point"]] if "point" in given else []
    for pairs, is_positive in (
        ([*positive, *_list(given, "points")], True),
        (_list(given, "negative"), False),
    ):
        for pair in pairs:
            x, y = numbers(pair, 2, "point", "[x, y]")
            found.append(Point(object_id, x, y, is_positive))
    if not found:
        raise PromptError("a prompt says nothing; give it a text, box, point, points or negative")
    names.setdefault(object_id, "object")
    cues += [Cue(frame, prompt) for prompt in found]


def numbers(given: Any, count: int, what: str, wanted: str) -> list[float]:
    """`count` finite numbers. Raises PromptError."""
    if not isinstance(given, list) or len(given) != count or not all(map(_is_number, given)):
        raise PromptError(f"{what} is {_short(given)}; wanted {wanted}, in pixels")
    return [float(number) for number in given]


def _is_number(given: object) -> bool:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return False
    return abs(given) <= 1e6 and math.isfinite(given)


def _effects(given: Any) -> Stack:
    if given is None:
        return (Effect(),)
    each = given if isinstance(given, list) else [given]
    named = [
        {"name": Effect().name, **one} if isinstance(one, dict) and "name" not in one else one
        for one in each
    ]
    stack = effect_fields.stack(named)
    effect_fields.check_backgrounds(stack, backgrounds.names())
    return stack


def _exports(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise InputError('"exports" is to be a list of at least one name')
    for name in given:
        if not isinstance(name, str) or name not in FILES:
            raise InputError(f"export {_short(name)} is unknown; known are {', '.join(FILES)}")
    return tuple(dict.fromkeys(given))


def _list(given: dict[str, Any], name: str) -> list[Any]:
    found = given.get(name, [])
    if not isinstance(found, list):
        raise PromptError(f"{name} is {_short(found)}; wanted a list of [x, y]")
    return found


def _whole(given: Any, name: str, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise PromptError(f"{name} is {_short(given)}; wanted a whole number, {least} to {most}")
    return given


def _known(
    given: dict[str, Any], fields: frozenset[str], what: str, error: type[InputError]
) -> None:
    if unknown := sorted(set(map(str, given)) - fields):
        raise error(
            f"{what} has a field {_short(unknown[0])}; known are {', '.join(sorted(fields))}"
        )


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}…"
