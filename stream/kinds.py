"""Kinds of settings: how each is read from text, and what a file of settings may hold for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream import network


@dataclass(frozen=True, slots=True)
class Kind:
    """wanted: what is said to whom gives something else. types: of the value in a TOML file.
    read: raises ValueError, or InputError with what is wrong."""

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


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~NAME of nobody
        raise ValueError from error


def _token(text: str) -> str:
    """RFC 6750 section 2.1: only these characters can stand in the header."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{8,512}=*", text):
        raise ValueError
    return text


def _secret(text: str) -> str:
    if not (8 <= len(text) <= 512 and text.isascii() and text.isprintable()):
        raise ValueError
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


TEXT = Kind("text in quotes", (str,), str)
PATH = Kind("a path in quotes", (str,), _path)
FLAG = Kind("0 or 1 (in a file, false or true)", (bool,), _flag)
NAMES = Kind("names, separated by commas (in a file, a list)", (list, str), _names)
TOKEN = Kind("8 to 512 of A-Z a-z 0-9 . _ ~ + / -", (str,), _token)
SECRET = Kind("8 to 512 printable ASCII characters", (str,), _secret)
ICE_SERVERS = Kind(
    "URLs, separated by commas (in a file, a list)", (list, str), network.ice_servers
)
UDP_PORTS = Kind("FIRST-LAST in quotes", (str,), network.udp_ports)
IP_ADDRESS = Kind("an IP address in quotes", (str,), network.public_address)


def text_of(value: object) -> str:
    """What a TOML value would be as an environment variable. Raises ValueError."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        if not all(isinstance(part, str) and "," not in part for part in value):
            raise ValueError
        return ",".join(value)
    return str(value)
