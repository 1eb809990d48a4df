"""Are cuts told, and is another light taken for one? On the clips beside the repository.

    python -m benchmarks.cuts --json [--quick] [--data DIR]

Where the compositor sees a cut, effects that hide something hide all until masks of the new scene
are there. A cut that it misses shows the old mask on a new scene; a flash, or a lamp that is turned
on, is none, and to hide the picture for it is a nuisance.

cuts: the end of every clip and the beginning of every other; missed: not told. same_room: those
of two webcam clips, where another person, or the same, comes to stand in the same room before the
same camera. same_scene: neighbours within a clip, every tenth of its pictures; taken: told as cuts.
By what was done to the light of the newer picture (LIGHTS). --quick: every third clip.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2

from benchmarks import davis, machine
from stream.compose.matting import Matting
from stream.compose.planes import Planes

DATA = davis.DATA.parents[1]
"""Of it, the films in video and DAVIS's pictures in eval/davis."""

SIZE = 640, 360
"""All clips alike: a picture of another size is no question."""

LONGEST, APART = 90, 10
"""Of a clip's pictures those are read, and neighbours of each tenth are looked at."""

QUICK_APART = 3

ONE_ROOM = "webcam"
"""The folder of clips that show different people in one room."""

LIGHTS: dict[str, tuple[float, float]] = {
    "as it is": (1, 0),
    "a third as bright": (0.33, 0),
    "40 codes brighter": (1, 40),
    "1.4 times as bright": (1.4, 0),
    "twice as bright": (2, 0),
    "three times as bright": (3, 0),
}
"""Name -> what luma is multiplied by, and what is added; too bright is white, as for a camera."""

Neighbours = tuple[Planes, Planes, Planes]
"""Three pictures in a row: flow begins from the one before it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """room: clips of one room have the same. shots: from its beginning to its end, at least one;
    the last is its end."""

    name: str
    room: str
    shots: list[Neighbours]


def read(path: Path) -> Iterator[av.VideoFrame]:
    """A film's pictures, or those of a folder of JPEG files."""
    if path.is_dir():
        for picture in sorted(path.glob("*.jpg")):
            yield av.VideoFrame.from_ndarray(davis.read_picture(picture), "rgb24")
        return
    with av.open(str(path)) as film:
        yield from film.decode(video=0)


def clips(paths: Iterable[Path]) -> list[Clip]:
    """Those of three pictures or more."""
    found = []
    for path in paths:
        pictures = [
            Planes.of(picture.reformat(*SIZE, format="yuv420p"))
            for picture in itertools.islice(read(path), LONGEST)
        ]
        shots = list(zip(pictures, pictures[1:], pictures[2:], strict=False))
        if shots:
            room = path.parent.name if path.parent.name == ONE_ROOM else path.stem
            found.append(Clip(path.stem, room, [*shots[:-1:APART], shots[-1]]))
    return found


def lit(picture: Planes, light: str) -> Planes:
    gain, offset = LIGHTS[light]
    luma = cv2.addWeighted(picture.y, gain, picture.y, 0, offset)
    return Planes(luma, picture.u, picture.v)  # type: ignore[arg-type]


def is_cut(pictures: Iterable[Planes]) -> bool:
    """Whether the last one is said to show another scene than the one before."""
    matting = Matting()
    for index, picture in enumerate(pictures):
        matting.see(picture, index)
    return matting.step is None or matting.step.is_cut


def missed(clips: list[Clip], light: str, one_room: bool = False) -> dict[str, int]:
    """Ends of clips before the beginnings of others, of the same room or of other ones."""
    count = total = 0
    for one, other in itertools.permutations(clips, 2):
        if (one.room == other.room) == one_room:
            _, *end = one.shots[-1]
            total += 1
            count += not is_cut([*end, lit(other.shots[0][0], light)])
    return {"pairs": total, "missed": count}


def taken(clips: list[Clip], light: str) -> dict[str, int]:
    """Neighbours of one clip."""
    told = [
        is_cut([first, second, lit(third, light)])
        for clip in clips
        for first, second, third in clip.shots
    ]
    return {"pairs": len(told), "taken": sum(told)}


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="with video and eval/davis in it")
    options = parser.parse_args()
    films = [path for path in options.data.glob("video/*/*") if path.is_file()]
    folders = options.data.glob("eval/davis/JPEGImages/*")
    paths = sorted([*films, *folders], key=lambda path: path.stem)
    paths = paths[::QUICK_APART] if options.quick else paths
    found = clips(paths)
    if len(found) < 2:
        print(f"cuts: no two clips in {options.data}/video/*/*", file=sys.stderr)
        return 2
    result: dict[str, Any] = {
        "clips": len(found),
        "cuts": {light: missed(found, light) for light in LIGHTS},
        "same_room": missed(found, "as it is", one_room=True),
        "same_scene": {light: taken(found, light) for light in LIGHTS},
    }
    if options.json:
        machine.print_json(result)
    else:
        print("same room".ljust(22), result["same_room"])
        for light in LIGHTS:
            print(light.ljust(22), result["cuts"][light], result["same_scene"][light])
    return 0


if __name__ == "__main__":
    sys.exit(main())
