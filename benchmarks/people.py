"""Does the word "person" find the person on webcams, with no click?

    python -m benchmarks.people --json [--quick] [--sheet PNG]

Every frame of the clips in shared/data/video/webcam: the share of frames without a mask, and the
overlap with MediaPipe's selfie segmentation, which runs in Chromium. That is another model's
opinion, not the truth: look at the sheet, which shows first, middle, last and worst of each clip,
ours in green, MediaPipe's outline in red.
"""

import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.accuracy import full_size
from benchmarks.davis import DATA
from benchmarks.mediapipe import Segmenter, segmenter
from stream.frames import Frame
from stream.prompts import Text
from stream.track import catalog
from stream.track.tracker import Tracker
from stream.track.words import PERSON

WEBCAM = DATA.parents[1] / "video" / "webcam"
QUICK_CLIPS = 2
QUICK_FRAMES = 20
TILE = 240
EMPTY = 0.005
"""Share of the picture below which a mask shows nobody."""

Masks = list[NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """ious: of each frame. empty: frames without a mask."""

    ious: list[float]
    empty: int


def frames(path: Path, most: int | None) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        return [frame for _, frame in zip(range(most or sys.maxsize), decoded, strict=False)]


def found(tracker: Tracker, pictures: list[av.VideoFrame]) -> Masks:
    """What the tracker calls "person", frame by frame, bool [H, W]."""
    tracker.reset()
    masks = []
    for index, picture in enumerate(pictures):
        seen = Frame(picture, index, index, Fraction(1, 30)).image(tracker.image_size)
        step = tracker.step(seen, [Text(1, PERSON)] if index == 0 else [])
        masks.append(full_size(step.logits[0], picture.width, picture.height))
    return masks


def compare(ours: Masks, theirs: Masks) -> Agreement:
    ious = []
    for mask, other in zip(ours, theirs, strict=True):
        either = np.count_nonzero(mask | other)
        ious.append(np.count_nonzero(mask & other) / either if either else 1.0)
    return Agreement(ious, sum(bool(mask.mean() < EMPTY) for mask in ours))


def tiles(
    name: str, rgb: list[NDArray[np.uint8]], ours: Masks, theirs: Masks, ious: list[float]
) -> NDArray[np.uint8]:
    """One row: the first, middle, last and worst frame."""
    row = []
    for index in (0, len(rgb) // 2, len(rgb) - 1, int(np.argmin(ious))):
        picture = rgb[index].copy()
        picture[ours[index]] = (0.55 * picture[ours[index]] + (0, 115, 0)).astype(np.uint8)
        lines, _ = cv2.findContours(
            theirs[index].astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, lines, -1, (255, 0, 0), 2)
        height = round(TILE * picture.shape[0] / picture.shape[1])
        small = cv2.resize(picture, (TILE, height), interpolation=cv2.INTER_AREA)
        text = f"{name} {index} {ious[index]:.2f}"
        cv2.putText(small, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1)
        row.append(small)
    return np.hstack(row)


def measure(
    segment: Segmenter, tracker: Tracker, clips: list[Path], most: int | None
) -> tuple[dict[str, Agreement], list[NDArray[np.uint8]]]:
    agreements, rows = {}, []
    for path in tqdm(clips, "clips", file=sys.stderr):
        pictures = frames(path, most)
        rgb = [picture.to_ndarray(format="rgb24") for picture in pictures]
        ours, theirs = found(tracker, pictures), list(segment.people(rgb))
        agreements[path.stem] = agreement = compare(ours, theirs)
        rows.append(tiles(path.stem, rgb, ours, theirs, agreement.ious))
    return agreements, rows


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=WEBCAM, help="a folder of clips")
    parser.add_argument("--weights", type=Path, help="instead of the model's own")
    parser.add_argument("--sheet", type=Path, help="write a PNG with four frames of every clip")
    cache = Path(tempfile.gettempdir()) / "segstream-mediapipe"
    parser.add_argument("--mediapipe", type=Path, default=cache, help="where its package is kept")
    options = parser.parse_args()
    clips = sorted(options.data.glob("*.mkv"))[: QUICK_CLIPS if options.quick else None]
    if not clips:
        print(f"people: no *.mkv in {options.data}", file=sys.stderr)
        return 2
    tracker = Tracker(catalog.load(weights=options.weights))
    most = QUICK_FRAMES if options.quick else None
    try:
        with segmenter(options.mediapipe) as segment:
            agreements, rows = measure(segment, tracker, clips, most)
    except RuntimeError as error:
        print(f"people: {error}", file=sys.stderr)
        return 2
    if options.sheet:
        cv2.imwrite(str(options.sheet), np.vstack(rows)[..., ::-1])
    every = [iou for agreement in agreements.values() for iou in agreement.ious]
    result = {
        "iou": round(float(np.mean(every)), 4),
        "iou_worst": round(min(every), 4),
        "frames": len(every),
        "frames_without_mask": sum(agreement.empty for agreement in agreements.values()),
        "clips": {
            name: {"iou": round(float(np.mean(a.ious)), 4), "worst": round(min(a.ious), 4)}
            for name, a in agreements.items()
        },
    }
    if options.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:20} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
