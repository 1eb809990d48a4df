"""All exports of a job, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import av

from stream.compose.effects import Effect, Stack
from stream.compose.scene import Backgrounds
from stream.jobs.exports.base import Export
from stream.jobs.exports.coco import Coco
from stream.jobs.exports.davis import Davis
from stream.jobs.exports.mot import Mot
from stream.jobs.exports.videos import Cutout, EffectVideo, MaskVideo
from stream.jobs.exports.yolo import Yolo
from stream.jobs.request import FILES, VIDEOS
from stream.media import VideoFormat


def create(
    exports: Sequence[str],
    folder: Path,
    video: VideoFormat,
    audio: Sequence[av.AudioStream],
    names: Mapping[int, str],
    stack: Stack,
    backgrounds: Backgrounds,
) -> list[tuple[Export, bool]]:
    """Each with whether sound goes into it: the first MP4 gets it, for packets can go one way only.

    Raises MediaError and EffectError, with nothing left in the folder.
    """
    sounding = next((name for name in exports if name in VIDEOS), None)
    made: list[tuple[Export, bool]] = []
    try:
        for name in exports:
            path, heard = folder / FILES[name], audio if name == sounding else ()
            made.append((_one(name, path, video, heard, names, stack, backgrounds), bool(heard)))
    except BaseException:
        for export, _ in made:
            export.abort()
        raise
    return made


def _one(
    name: str,
    path: Path,
    video: VideoFormat,
    audio: Sequence[av.AudioStream],
    names: Mapping[int, str],
    stack: Stack,
    backgrounds: Backgrounds,
) -> Export:
    match name:
        case "video":
            return EffectVideo(path, video, audio, stack, backgrounds)
        case "overlay":
            return EffectVideo(path, video, audio, (Effect("overlay"),), {})
        case "mask":
            return MaskVideo(path, video, audio)
        case "coco":
            return Coco(path, names)
        case "yolo":
            return Yolo(path, names)
        case "png":
            return Davis(path)
        case "mot":
            return Mot(path)
    return Cutout(path, video)
