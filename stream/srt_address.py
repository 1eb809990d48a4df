"""What an address of SRT says: srt://host:port?option=value&…

The names are those of FFmpeg and of libsrt's own programs. Times are milliseconds, as in the latter
and in GStreamer; in FFmpeg and OBS, `latency` is microseconds, which is refused as too long.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from stream.errors import InputError
from stream.limits import MAX_SRT_LATENCY

TS_PACKET = 188
"""Bytes. Whole packets of MPEG-TS go into a message, so that a lost one damages no other."""

PAYLOAD = 7 * TS_PACKET
"""Bytes of a message: what fits into a packet of Ethernet, and what all receivers take."""

KEY_LENGTHS = {"0": 0, "16": 16, "24": 24, "32": 32}
"""Bytes of the AES key; 0: as the other side has it, else 16."""

LISTENER = {"caller": False, "listener": True}

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class SrtAddress:
    """host: empty for all of this machine's addresses. is_listener: wait at the port for whoever
    comes, instead of connecting to it. latency: milliseconds, None for SRT's own 120."""

    host: str
    port: int
    is_listener: bool = False
    stream_id: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    key_length: int = 0
    latency: int | None = None
    payload: int = PAYLOAD


def read(url: str) -> SrtAddress:
    """Check an address. Raises InputError, which repeats nothing that may be secret."""
    place, _, query = url.partition("?")
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError("the srt:// address cannot be read; is its port right?") from error
    if "@" in place or parts.path.strip("/") or parts.fragment:
        raise InputError(
            "an srt:// address has no user and no path; wanted one like "
            "srt://host:9000?streamid=NAME&passphrase=SECRET"
        )
    if not port:
        raise InputError("an srt:// address needs a port, as in srt://host:9000")
    options: dict[str, Any] = {}
    for text in filter(None, query.split("&")):
        name, _, value = text.partition("=")
        if name not in _OPTIONS:
            raise InputError(f"srt:// has no option {name[:20]!r}; known are {', '.join(_OPTIONS)}")
        # A stream id may hold a + or a #, which are not meant as in a form or a page's address.
        field_name, read_value = _OPTIONS[name]
        options[field_name] = read_value(unquote(value))
    found = SrtAddress(host, port, **options)
    if not host and not found.is_listener:
        raise InputError("the srt:// address names no host; to be called, add ?mode=listener")
    return found


def _passphrase(value: str) -> str:
    if value and not 10 <= len(value.encode()) <= 79:
        raise InputError("a passphrase of SRT has 10 to 79 characters")
    return value


def _stream_id(value: str) -> str:
    if len(value.encode()) > 512:
        raise InputError("a streamid of SRT has at most 512 characters")
    return value


def _latency(value: str) -> int:
    return _number("latency", value, 0, MAX_SRT_LATENCY, " milliseconds; FFmpeg has 1000 times it")


def _payload(value: str) -> int:
    size = _number("pkt_size", value, TS_PACKET, PAYLOAD, f" bytes, in steps of {TS_PACKET}")
    return size - size % TS_PACKET


def _number(name: str, value: str, least: int, most: int, unit: str) -> int:
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise InputError(f"{name}={value[:20]} of srt:// is not between {least} and {most}{unit}")
    return int(value)


def _one_of(name: str, choices: dict[str, Any]) -> Callable[[str], Any]:
    def read_value(value: str) -> Any:
        if value not in choices:
            wanted = ", ".join(choices)
            raise InputError(f"{name}={value[:20]} of srt:// is not known; wanted {wanted}")
        return choices[value]

    return read_value


_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "mode": ("is_listener", _one_of("mode", LISTENER)),
    "streamid": ("stream_id", _stream_id),
    "passphrase": ("passphrase", _passphrase),
    "pbkeylen": ("key_length", _one_of("pbkeylen", KEY_LENGTHS)),
    "latency": ("latency", _latency),
    "pkt_size": ("payload", _payload),
    "payloadsize": ("payload", _payload),
}
"""By its name in an address: the field, and what reads it."""
