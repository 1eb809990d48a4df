"""The command `segstream track`: from its arguments to a written file."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from stream import cues, media
from stream.compose import backgrounds, effects, moving
from stream.compose.compositor import Compositor
from stream.compose.effects import HIDES_BACKGROUND, Effect
from stream.compose.scene import Picture, Video
from stream.cues import Schedule
from stream.egress.file import VideoWriter, check_writable
from stream.errors import EffectError, InputError, LimitError, MediaError
from stream.ingest.file import VideoFile
from stream.limits import SEARCH_TIMEOUT
from stream.settings import Settings
from stream.track import catalog, finder
from stream.track.networks.base import Network
from stream.track.tracker import Tracker
from stream.track.words import PERSON
from stream.track_file import Summary, track_file


def track(arguments: argparse.Namespace, settings: Settings) -> Summary:
    """Do what `segstream track` was told to; whatever can be is checked before the work.

    settings: of the network; the rest of them is the server's.
    Raises SegstreamError, with nothing left behind.
    """
    if not 0 <= arguments.crf <= 51:
        raise InputError(f"crf is {arguments.crf}; wanted 0 to 51")
    schedule = _schedule(arguments)
    effect, background = _effect(arguments)
    path, output = Path(arguments.input), Path(arguments.output)
    with VideoFile(path) as source:
        video = source.format
        schedule.check(video.width, video.height)
        check_writable(output, overwrite=arguments.overwrite, source=path)
        compositor = Compositor(float(video.sample_aspect_ratio or 1))
        compositor.set_effects((effect,), {effect.background: background})
        tracker = _tracker(settings, schedule)
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


def _tracker(settings: Settings, schedule: Schedule) -> Tracker:
    """With a detector where a phrase needs one. Raises ModelError."""
    network = _network(settings)
    found = None
    if finder.is_wanted(schedule.texts, network.spec.words):
        found = finder.start(settings.text_model, settings.threads, settings.device, SEARCH_TIMEOUT)
    return Tracker(network, windowed=settings.window, finder=found)


def _network(settings: Settings) -> Network:
    return catalog.load(
        settings.model,
        threads=settings.threads,
        device=settings.device,
        half=settings.half,
        compile=settings.compile,
        weights=settings.weights,
    )


def _schedule(arguments: argparse.Namespace) -> Schedule:
    given = [
        *map(cues.mask, arguments.mask),
        *map(cues.text, arguments.text),
        *map(cues.box, arguments.box),
        *map(cues.point, arguments.point),
        *(cues.point(text, positive=False) for text in arguments.negative),
    ]
    if not given and arguments.effect in HIDES_BACKGROUND:
        given = [cues.text(PERSON)]
    if not given:
        raise InputError("nothing to track; give a --point, --box, --mask or --text")
    return Schedule(given)


def _effect(arguments: argparse.Namespace) -> tuple[Effect, Picture | Video | None]:
    name = arguments.effect or ("picture" if arguments.background else "overlay")
    colour = arguments.colour or Effect().colour
    effect = Effect(name, arguments.strength, colour, arguments.background)
    effects.check(effect)
    background = _background(arguments.background) if arguments.background else None
    if isinstance(background, tuple) and not arguments.effect:
        effect = replace(effect, name="video")
    return effect, background


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
