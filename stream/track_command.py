"""The command `segstream track`: from its arguments to a written file."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from stream import cues, media
from stream.compose import backgrounds, effect_fields, moving
from stream.compose.compositor import Compositor
from stream.compose.effects import Effect, Stack
from stream.compose.scene import Backgrounds, Picture, Video
from stream.cues import Schedule
from stream.egress.file import VideoWriter, check_writable
from stream.errors import EffectError, InputError, LimitError, MediaError
from stream.ingest.file import VideoFile
from stream.loading import load_network, new_tracker
from stream.settings import Settings
from stream.track.words import PERSON
from stream.track_file import Summary, track_file


def track(arguments: argparse.Namespace, settings: Settings) -> Summary:
    """Do what `segstream track` was told to; whatever can be is checked before the work.

    settings: of the network; the rest of them is the server's.
    Raises SegstreamError, with nothing left behind.
    """
    if not 0 <= arguments.crf <= 51:
        raise InputError(f"crf is {arguments.crf}; wanted 0 to 51")
    stack, used = _effects(arguments)
    schedule = _schedule(arguments, any(effect.hides_background for effect in stack))
    path, output = Path(arguments.input), Path(arguments.output)
    with VideoFile(path) as source:
        video = source.format
        schedule.check(video.width, video.height)
        check_writable(output, overwrite=arguments.overwrite, source=path)
        compositor = Compositor(float(video.sample_aspect_ratio or 1))
        compositor.set_effects(stack, used)
        tracker = new_tracker(settings, load_network(settings), schedule.texts)
        with (
            VideoWriter(
                output,
                video,
                source.audio,
                crf=arguments.crf,
                preset=arguments.preset,
                overwrite=arguments.overwrite,
            ) as writer,
            # disable=None: no bar where nobody looks, in a pipe or a log.
            tqdm(
                total=source.frame_count,
                unit=" frames",
                file=sys.stderr,
                disable=True if arguments.quiet else None,
            ) as bar,
        ):
            summary = track_file(source, writer, tracker, compositor, schedule, bar.update)
    if not arguments.quiet:
        print(_report(output, writer, summary), file=sys.stderr)
    return summary


def _schedule(arguments: argparse.Namespace, hides_background: bool) -> Schedule:
    given = [
        *map(cues.mask, arguments.mask),
        *map(cues.text, arguments.text),
        *map(cues.box, arguments.box),
        *map(cues.point, arguments.point),
        *(cues.point(text, positive=False) for text in arguments.negative),
    ]
    if not given and hides_background:
        given = [cues.text(PERSON)]
    if not given:
        raise InputError("nothing to track; give a --point, --box, --mask or --text")
    return Schedule(given)


def _effects(arguments: argparse.Namespace) -> tuple[Stack, Backgrounds]:
    given = {field: getattr(arguments, field) for field in effect_fields.FIELDS[1:]}
    usual = {field: text for field, text in given.items() if text is not None}
    names = arguments.effect or ["picture" if arguments.background else Effect().name]
    stack = effect_fields.of_texts(names, usual)
    used: dict[str | None, Picture | Video | None] = {
        name: _background(name) for name in {effect.background for effect in stack} if name
    }
    if not arguments.effect and isinstance(used.get(arguments.background), tuple):
        stack = (replace(stack[0], name="video"),)
    return stack, used


def _background(name: str) -> Picture | Video:
    if name in backgrounds.names():
        return backgrounds.load(name)
    path = Path(name)
    try:
        data = path.read_bytes()
        return moving.load(data) if moving.is_video(data) else backgrounds.decode(data)
    except FileNotFoundError:
        known = ", ".join(backgrounds.names())
        raise EffectError(f"background {name} is neither a file nor one of {known}") from None
    except OSError as error:
        raise MediaError(f"cannot read background {name}: {media.reason(error)}") from error
    except (MediaError, LimitError) as error:
        raise type(error)(f"{name}: {error}") from error


def _report(output: Path, writer: VideoWriter, summary: Summary) -> str:
    width, height = writer.size
    rate = summary.frames / summary.duration if summary.duration else 0
    return (
        f"{output}: {width}x{height}, {summary.frames} frames, {rate:.4g} frames/s, "
        f"{summary.duration:.2f} s; took {summary.elapsed:.2f} s, "
        f"{summary.frames_per_second:.1f} frames/s"
    )
