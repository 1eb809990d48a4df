"""`segstream camera`: adds, lists and removes cameras in the file that the server follows."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from stream import config as config_file
from stream.cameras import CameraFile, add, default_path, read_config, remove
from stream.egress import target
from stream.errors import InputError
from stream.ingest.address import Kind, shown

FOLLOWS = "a running server takes it up within a second"


def add_camera(arguments: Namespace) -> str:
    """Raises InputError, LimitError."""
    wanted = ("name", "url", "transport", "effect", "text", "loop", "record", "publish")
    given = {name: getattr(arguments, name) for name in wanted}
    config = read_config(given, files=True)
    if config.address.kind is Kind.FILE and not Path(config.url).is_file():
        raise InputError(f"there is no file {config.url}; wanted one, or rtsp://…")
    for publish in config.publish:
        target.check_available(target.read(publish, files=True))
    file = _file(arguments)
    file.update(add(config))
    return f"camera {config.name} is in {file.path}; {FOLLOWS}"


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
        defaults = {"transport": "auto", "effect": "overlay", "text": "", "loop": True}
        special = [
            f"{key}={value}"
            for key, value in asdict(camera).items()
            if key in defaults and value != defaults[key]
        ]
        if camera.record:
            special.append("record")
        special += [f"publish={target.shown(publish)}" for publish in camera.publish]
        lines.append(" ".join([f"{camera.name:<20}", shown(camera.url), *special]))
    return "\n".join(lines)


def _file(arguments: Namespace) -> CameraFile:
    """The one that a server with the same settings follows."""
    return CameraFile(config_file.load(path=arguments.config).cameras or default_path())
