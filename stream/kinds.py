"""Kinds of settings: how each is read from text, and what a file of settings may hold for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kind:
    """wanted: what is said to whom gives something else. types: of the value in a TOML file.
    read: raises ValueError."""

    wanted: str
    types: tuple[type, ...]
    read: Callable[[str], object]


def whole(least: int, most: int) -> Kind:
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {least} to {most}", (int,), read)


def decimal(least: float, most: float) -> Kind:
    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ValueError
        if not least <= float(text) <= most:
            raise ValueError
        return float(text)

    return Kind(f"a number from {least:g} to {most:g}", (int, float), read)


def one_of(*names: str) -> Kind:
    def read(text: str) -> str:
        if text not in names:
            raise ValueError
        return text

    return Kind(", ".join(names[:-1]) + f" or {names[-1]}", (str,), read)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


TEXT = Kind("text in quotes", (str,), str)
PATH = Kind("a path in quotes", (str,), Path)
FLAG = Kind("0 or 1 (in a file, false or true)", (bool,), _flag)
NAMES = Kind("names, separated by commas (in a file, a list)", (list, str), _names)


def text_of(value: object) -> str:
    """What a TOML value would be as an environment variable. Raises ValueError."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        if not all(isinstance(part, str) and "," not in part for part in value):
            raise ValueError
        return ",".join(value)
    return str(value)
