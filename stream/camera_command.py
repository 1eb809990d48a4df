"""`segstream camera`: changes and lists the cameras in the file that the server follows."""

from argparse import Namespace
from pathlib import Path

from stream import config as config_file
from stream.cameras import (
    CameraConfig,
    CameraFile,
    add,
    default_path,
    read_config,
    read_effect,
    remove,
    set_effect,
)
from stream.compose import effect_fields
from stream.egress import target
from stream.errors import InputError
from stream.ingest.address import Kind, shown

USUAL = CameraConfig("", "")
"""What the list does not show."""

FOLLOWS = "a running server takes it up within a second"


def add_camera(arguments: Namespace) -> str:
    """Raises InputError, LimitError."""
    wanted = ("name", "url", "transport", "sound", "text", "loop", "record", "publish")
    given = {name: getattr(arguments, name) for name in wanted}
    if arguments.effect:
        given["effect"] = _fields(arguments.effect)
    config = read_config(given, files=True)
    if config.address.kind is Kind.FILE and not Path(config.url).is_file():
        raise InputError(f"there is no file {config.url}; wanted one, or rtsp://…")
    config.address.check_available()
    for publish in config.publish:
        target.check_available(target.read(publish, files=True))
    file = _file(arguments)
    file.update(add(config))
    return f"camera {config.name} is in {file.path}; {FOLLOWS}"


def change_effect(arguments: Namespace) -> str:
    """Raises InputError, LimitError."""
    file = _file(arguments)
    file.update(set_effect(arguments.name, read_effect(_fields(arguments.effect))))
    return f"camera {arguments.name} has another effect in {file.path}; {FOLLOWS}"


def remove_camera(arguments: Namespace) -> str:
    """Raises InputError."""
    file = _file(arguments)
    file.update(remove(arguments.name))
    return f"camera {arguments.name} is no longer in {file.path}; {FOLLOWS}"


def table(arguments: Namespace) -> str:
    """A line for each camera, without passwords."""
    file = _file(arguments)
    cameras = file.read()
    if not cameras:
        return f"no cameras in {file.path}; add one: segstream camera add NAME rtsp://…"
    lines = []
    for camera in cameras.values():
        special = []
        for name in ("transport", "sound", "effect", "text", "loop"):
            value = getattr(camera, name)
            if value != getattr(USUAL, name):
                each = map(effect_fields.as_text, value) if name == "effect" else [value]
                special += [f"{name}={one}" for one in each]
        if camera.record:
            special.append("record")
        special += [f"publish={target.shown(publish)}" for publish in camera.publish]
        lines.append(" ".join([f"{camera.name:<20}", shown(camera.url), *special]))
    return "\n".join(lines)


def _fields(texts: list[str]) -> list[dict[str, object]]:
    """Of effects as they are written on the command line. Raises EffectError."""
    return [effect_fields.written(text, {}) for text in texts]


def _file(arguments: Namespace) -> CameraFile:
    """The one that a server with the same settings follows."""
    return CameraFile(config_file.load(path=arguments.config).cameras or default_path())
