"""How right the opacity is, whether moving edges lag, and what is left of the old background.

Things of known opacity, hair among them, are laid over real video and moved (alpha_scenes.py).
What is known of them is degraded as in edges.py, 96 x 96 logits, one to four pictures late, and
goes through the compositor's matting (with) and through plain enlargement (without). Of things
and of videos every other one is for choosing parameters (`--tuning`); the rest is reported.

Errors are taken in the band that papers on matting call unknown, BAND pixels around all that is
soft (Rhemann and others, "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009).
Of their measures: alpha_error, SAD as a mean a pixel; square_error, MSE, and gradient_error, both
in thousandths. composite_error: mean difference from the true composite over a new background, in
levels of 255, over y, u and v; `unspilled` is ours without spill removal, `true_opacity` what the
true opacity gives without it. lag: how many pixels the edge at an opacity of a half is behind the
true one along the motion; trail: the same of the hindmost edge alone. flicker: mean change of
opacity from picture to picture, of things that stand still.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import alpha_scenes, machine
from benchmarks.alpha_scenes import HEIGHT, KINDS, MOTIONS, WIDTH, SceneError, Shot, Thing
from benchmarks.edges import LAGS, Logits, degraded, planes
from stream.compose import backgrounds, spill
from stream.compose.backdrop import cover
from stream.compose.colour_space import BT601, LUMA_WEIGHTS, ColourSpace
from stream.compose.matte import Matte, matte
from stream.compose.matting import Cutout, Matting
from stream.compose.planes import Planes, halve, mix

FRAMES, QUICK_FRAMES = 20, 10
BACKGROUND = "mountains"
BAND, SOFT = 10, 0.02
SLOWEST = 1.0
"""Pixels a picture from which on a thing moves enough for its edges to lag."""

SHOWN = (320, 240)
"""Width and height of what the sheet shows of each picture, before it is doubled."""

SPACE = ColourSpace(*LUMA_WEIGHTS[BT601], full=True)
NO_CONTRAST = np.zeros((1, 1, 3), np.float32)

Floats = NDArray[np.float32]
Band = NDArray[np.bool_]
Figures = dict[str, float]


def unknown(opacity: Floats) -> Band:
    soft = ((opacity > SOFT) & (opacity < 1 - SOFT)).astype(np.uint8)
    return cv2.dilate(soft, np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)) > 0


def opacity_errors(found: Floats, truth: Floats, band: Band) -> Figures:
    off = np.abs(found - truth)[band]
    steeper = (_steepness(found) - _steepness(truth))[band]
    return {
        "alpha_error": float(off.mean()),
        "square_error": 1000 * float((off**2).mean()),
        "gradient_error": 1000 * float((steeper**2).mean()),
    }


def _steepness(opacity: Floats) -> Floats:
    down, across = np.gradient(cv2.GaussianBlur(opacity, (0, 0), 1.4))
    return np.asarray(np.hypot(across, down), np.float32)


def lag(found: Floats, truth: Floats, speed: float) -> tuple[float, float] | None:
    """Pixels that the foremost and the hindmost edge are behind, medians over rows."""
    if speed < 0:
        found, truth = found[:, ::-1], truth[:, ::-1]
    rows = (found > 0.5).any(axis=1) & (truth > 0.5).any(axis=1)
    if not rows.any():
        return None
    found, truth = found[rows], truth[rows]
    front = np.median(_last(truth) - _last(found))
    back = np.median(_last(found[:, ::-1]) - _last(truth[:, ::-1]))
    return float(front), float(back)


def _last(opacity: Floats) -> Floats:
    """Where each row falls below a half for the last time, between its pixels."""
    padded = np.pad(opacity, ((0, 0), (0, 1)))
    last = opacity.shape[1] - 1 - np.argmax(opacity[:, ::-1] > 0.5, axis=1)
    rows = np.arange(len(opacity))
    inside, outside = padded[rows, last], padded[rows, last + 1]
    return np.asarray(last + (inside - 0.5) / (inside - outside), np.float32)


def composite(shot: Shot, new: Planes, cutout: Cutout) -> Planes:
    """Over the new background, the old one's colour not taken out."""
    out = Planes(*(np.empty_like(plane) for plane in new))
    mix(shot.picture, new, Planes(*cutout.matte.planes), out)
    return out


def difference(found: Planes, wanted: Planes, band: Band) -> float:
    """Mean over the three planes, in levels of 255."""
    small = halve(band.astype(np.uint8) * 255) > 127
    parts = zip(found, wanted, (band, small, small), strict=True)
    return float(np.mean([cv2.absdiff(one, other)[where].mean() for one, other, where in parts]))


def judged(shot: Shot, found: Floats, former: Floats | None, band: Band) -> Figures:
    """What there is to say of the opacity that was found. former: that of the picture before."""
    figures = opacity_errors(found, shot.opacity, band)
    behind = lag(found, shot.opacity, shot.speed) if abs(shot.speed) >= SLOWEST else None
    if behind is not None:
        figures["lag"], figures["trail"] = float(np.mean(behind)), behind[1]
    if shot.speed == 0 and former is not None:
        figures["flicker"] = float(np.abs(found - former)[band].mean())
    return figures


def measure(shots: Iterable[Shot], new: Planes) -> tuple[Figures, list[Planes]]:
    """Figures of one scene, and what there is to see of its last picture: itself, and before the
    new background as it should be, without our matte and with it."""
    random = np.random.default_rng(0)
    matting = Matting()
    logits: list[Logits] = []
    formers: dict[str, Floats] = {}
    found: list[Figures] = []
    shown: list[Planes] = []
    for index, shot in enumerate(shots):
        logits.append(degraded(shot.opacity > 0.5, random))
        mask_index = max(0, index - LAGS[index % len(LAGS)])
        matting.see(shot.picture, index)
        matting.learn(logits[mask_index][None], mask_index)
        ours = matting.cutout(None, logits[mask_index], mask_index)
        cutouts = {
            "without": _of(matte(logits[mask_index], WIDTH, HEIGHT)),
            # None: a cut was seen, and all is hidden.
            "with": ours if ours is not None else _of(np.zeros_like(shot.picture.y)),
            "true_opacity": _of(np.rint(shot.opacity * 255).astype(np.uint8)),
        }
        band, figures = unknown(shot.opacity), Figures()
        results = {way: composite(shot, new, cutout) for way, cutout in cutouts.items()}
        figures["composite_error_unspilled"] = difference(results["with"], shot.wanted, band)
        spill.remove(results["with"], cutouts["with"].matte, cutouts["with"].contrast, SPACE)
        for way, result in results.items():
            figures[f"composite_error_{way}"] = difference(result, shot.wanted, band)
        for way in ("without", "with"):
            opacity = cutouts[way].matte.luma.astype(np.float32) / 255
            for key, value in judged(shot, opacity, formers.get(way), band).items():
                figures[f"{key}_{way}"] = value
            formers[way] = opacity
        if index > max(LAGS):
            found.append(figures)
        shown = [shot.picture, shot.wanted, results["without"], results["with"]]
    return mean(found), shown


def _of(luma: NDArray[np.uint8]) -> Cutout:
    return Cutout(Matte.of(luma), NO_CONTRAST)


def mean(figures: Sequence[Mapping[str, float]]) -> Figures:
    """Of each key, over those that have it."""
    keys = sorted(set(itertools.chain.from_iterable(figures)))
    return {key: float(np.mean([each[key] for each in figures if key in each])) for key in keys}


def rounded(figures: Mapping[str, float]) -> Figures:
    return {key: round(value, 4) for key, value in figures.items()}


def close_up(shown: Sequence[Planes]) -> NDArray[np.uint8]:
    """BGR: what there is to see of one scene side by side, at 200 % around where it differs most
    between the first, the source, and the last."""
    changed = cv2.boxFilter(cv2.absdiff(shown[1].y, shown[-1].y), cv2.CV_32F, SHOWN)
    _, _, _, (x, y) = cv2.minMaxLoc(changed)
    left = min(max(0, x - SHOWN[0] // 2), WIDTH - SHOWN[0])
    top = min(max(0, y - SHOWN[1] // 2), HEIGHT - SHOWN[1])
    tiles = [_bgr(each)[top : top + SHOWN[1], left : left + SHOWN[0]] for each in shown]
    return cv2.resize(np.hstack(tiles), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def _bgr(picture: Planes) -> NDArray[np.uint8]:
    u, v = (cv2.resize(plane, (WIDTH, HEIGHT)) for plane in (picture.u, picture.v))
    return cv2.cvtColor(cv2.merge([picture.y, v, u]), cv2.COLOR_YCrCb2BGR)


def report(found: Mapping[tuple[Thing, str], Figures]) -> dict[str, Any]:
    """Means over all scenes, over those of each motion, and of each kind of thing."""
    motions = {
        wanted: rounded(mean([each for (_, motion), each in found.items() if motion == wanted]))
        for wanted in MOTIONS
    }
    kinds = {
        wanted: rounded(mean([each for (thing, _), each in found.items() if thing.kind == wanted]))
        for wanted in KINDS
    }
    return {**rounded(mean(list(found.values()))), "motions": motions, "kinds": kinds}


def main() -> int:
    parser = machine.parser(__doc__)
    parser.add_argument("--data", type=Path, default=alpha_scenes.DATA)
    parser.add_argument("--tuning", action="store_true", help="the half to choose parameters on")
    parser.add_argument("--sheet", type=Path, help="write a PNG to look at")
    options = parser.parse_args()
    first = 0 if options.tuning else 1
    frames = QUICK_FRAMES if options.quick else FRAMES
    new = cover(backgrounds.load(BACKGROUND), WIDTH, HEIGHT, 1.0)
    try:
        things = alpha_scenes.things(options.data)[first::2]
        videos = alpha_scenes.backdrops(options.data)[first::2]
        pictures = [alpha_scenes.frames(video, frames) for video in videos]
    except SceneError as error:
        print(f"alpha: {error}", file=sys.stderr)
        return 2
    if options.quick:
        things = [things[0], things[-1]]  # one of each kind
    found: dict[tuple[Thing, str], Figures] = {}
    sheet = []
    for (number, thing), motion in itertools.product(enumerate(things), MOTIONS):
        shots = alpha_scenes.shots(thing, motion, pictures[number % len(pictures)], new)
        found[thing, motion], shown = measure(shots, planes(new))
        print(thing.name, motion, rounded(found[thing, motion]), file=sys.stderr)
        sheet.append(close_up(shown))
    result = report(found)
    for name, figures in (*result["motions"].items(), *result["kinds"].items()):
        print(name, figures)
    if options.sheet is not None and not cv2.imwrite(str(options.sheet), np.vstack(sheet)):
        print(f"alpha: cannot write {options.sheet}", file=sys.stderr)
        return 2
    if options.json:
        machine.print_json({**result, "tuning": options.tuning, "quick": options.quick})
    return 0


if __name__ == "__main__":
    sys.exit(main())
