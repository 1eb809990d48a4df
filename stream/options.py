"""The settings as options of the command line, made from their table."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.errors import InputError
from stream.kinds import FLAG
from stream.settings import Key, keys, parse, variable

if TYPE_CHECKING:
    from stream.settings import Settings


def add(parser: argparse.ArgumentParser, *groups: str) -> None:
    """Add --config, and an option for each setting of these groups that may have one."""
    add_file(parser)
    for group in groups:
        section = parser.add_argument_group(
            group,
            f"Each is also a variable, {_first_variable(group)} and so on, and a key of FILE.",
        )
        for found, key in keys():
            if key.group == group and key.option:
                _add(section, found.name, key, found.default)


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings; 'segstream config' prints one with all defaults (default "
        "$SEGSTREAM_CONFIG, else segstream.toml in the folders for settings, if there)",
    )


def settings(arguments: argparse.Namespace) -> "Settings":
    """What the options, the environment and the file say together. Raises InputError."""
    from stream import config

    given = {
        found.name: value
        for found, _ in keys()
        if (value := getattr(arguments, found.name, None)) is not None
    }
    return config.load(given, arguments.config)


def _first_variable(group: str) -> str:
    return next(variable(found.name) for found, key in keys() if key.group == group and key.option)


def _add(section: "argparse._ArgumentGroup", name: str, key: Key, default: Any) -> None:
    option = f"--{name.replace('_', '-')}"
    shown = key.otherwise or (("no", "yes")[default] if key.kind is FLAG else default)
    text = f"{key.meaning} (default {shown})".replace("%", "%%")
    if key.kind is FLAG:
        section.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
        return
    metavar = key.metavar or name.upper()
    section.add_argument(option, type=_reader(key), metavar=metavar, help=text)


def _reader(key: Key) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return parse(key, "it", text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
