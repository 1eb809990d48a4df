"""The configuration file, and what counts when a setting is given more than once.

An option goes before an environment variable, that before the file, and that before the default.
"""

import difflib
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from textwrap import wrap
from typing import Any

from stream.errors import InputError
from stream.kinds import text_of
from stream.limits import MAX_CONFIG
from stream.settings import Key, Settings, environment_values, keys, parse, variable

NAME = "segstream.toml"

OTHERS = ("SEGSTREAM_CONFIG", "SEGSTREAM_CACHE")
"""Variables that are no setting's."""

HEADER = """\
# What segstream can be told. Each key is also an environment variable, {example} for
# the first one, and an option of 'segstream serve', {option}; a token is no option. An option
# goes before a variable, and that before this file. What is commented out shows the default, or
# an example where the default is nothing that can be written.
"""


def load(
    given: Mapping[str, Any] | None = None,
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """given: by options. path: by --config; None: `$SEGSTREAM_CONFIG`, else the first default
    place that there is a file in, if any. Raises InputError."""
    environment = os.environ if environment is None else environment
    if path is None and (named := environment.get("SEGSTREAM_CONFIG")):
        path = Path(named).expanduser()
    if path is None:
        path = next((place for place in places(environment) if os.path.exists(place)), None)
    from_file = {} if path is None else read(path)
    return Settings(**(from_file | environment_values(environment) | dict(given or {})))


def places(environment: Mapping[str, str], platform: str = sys.platform) -> tuple[Path, ...]:
    """Where a file is looked for: the user's (XDG Base Directory Specification, or what the
    platform has in its place), then the machine's."""
    if platform == "win32":
        roaming = environment.get("APPDATA")
        return (Path(roaming or Path.home() / "AppData" / "Roaming") / "segstream" / NAME,)
    if platform == "darwin":
        own = Path.home() / "Library" / "Application Support"
    else:
        xdg = environment.get("XDG_CONFIG_HOME", "")
        own = Path(xdg) if xdg.startswith("/") else Path.home() / ".config"
    return own / "segstream" / NAME, Path("/etc/segstream") / NAME


def read(path: Path) -> dict[str, Any]:
    """The settings in a file. Raises InputError: it cannot be read, is no TOML, has a key that
    does not exist or a value that its key cannot have."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > MAX_CONFIG:
        raise InputError(f"{path} is too large; at most {MAX_CONFIG} bytes are read")
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {str(error)[:200]}") from error
    known = {found.name: key for found, key in keys()}
    for name in table:
        if name not in known:
            raise InputError(_unknown(path, name, list(known)))
    values = {name: _value(known[name], path, name, value) for name, value in table.items()}
    return {name: value for name, value in values.items() if value is not None}


def misspelt(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that are no setting's but nearly, each with the one that is meant. Others are left
    alone: Kubernetes sets some for a service of this name."""
    known = {variable(found.name) for found, _ in keys()}
    found: dict[str, str] = {}
    for name in environment:
        if name.startswith("SEGSTREAM_") and name not in (*known, *OTHERS):
            for near in difflib.get_close_matches(name, known, n=1, cutoff=0.9):
                found[name] = near
    return found


def _unknown(path: Path, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{path}: there is no setting {name[:60]!r}; {meant}'segstream config' lists all"


def _value(key: Key, path: Path, name: str, value: object) -> Any:
    """None: it is an empty text, which means unset."""
    where = f"{name} in {path}"
    try:
        if type(value) not in key.kind.types:
            raise ValueError
        text = text_of(value)
    except ValueError:
        shown = "cannot be used" if key.secret else f"is {str(value)[:100]!r}"
        raise InputError(f"{where} {shown}; wanted {key.kind.wanted}") from None
    return parse(key, where, text) if text else None


def commented() -> str:
    """The default file, with every key, its meaning and its default."""
    first = next(found.name for found, _ in keys())
    lines = HEADER.format(example=variable(first), option=f"--{first}").splitlines()
    for group in dict.fromkeys(key.group for _, key in keys()):
        lines += ["", "", f"# ---- {group} ----"]
        for found, key in keys():
            if key.group == group:
                lines += ["", *_entry(found, key)]
    return "\n".join(lines) + "\n"


def _entry(found: Field[Any], key: Key) -> list[str]:
    meaning = key.meaning[0].upper() + key.meaning[1:]
    wanted = f" Default: {key.otherwise}." if key.otherwise else ""
    value = _example(key) if key.otherwise else found.default
    comment = wrap(f"{meaning}.{wanted}", 96)
    return [*(f"# {line}" for line in comment), f"#{found.name} = {_toml(value)}"]


def _example(key: Key) -> object:
    """As a file holds it."""
    if list in key.kind.types:
        return tuple(part.strip() for part in key.example.split(","))
    return key.example if str in key.kind.types else key.kind.read(key.example)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(part) for part in value)}]"
    # JSON's numbers, true, false and quoted text are TOML's as well.
    return json.dumps(value, ensure_ascii=False)
