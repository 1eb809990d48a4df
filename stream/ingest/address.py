"""Where a camera's pictures come from: which addresses are taken, and how they are shown.

An address may hold a password. It goes to the process that opens it and into the camera file, and
nowhere else: whatever is printed, logged or answered is `shown`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stream import srt_address
from stream.errors import InputError
from stream.limits import MAX_ADDRESS


class Kind(StrEnum):
    """How an address is read."""

    RTSP = "rtsp"
    HTTP = "http"
    SRT = "srt"
    FILE = "file"


class Transport(StrEnum):
    """What RTSP sends its packets over. AUTO: TCP, and UDP for a camera that refuses it; UDP:
    that, and TCP where no packet comes through; TCP: nothing else."""

    AUTO = "auto"
    TCP = "tcp"
    UDP = "udp"

    @property
    def order(self) -> tuple[str, ...]:
        return {"auto": ("tcp", "udp"), "tcp": ("tcp",), "udp": ("udp", "tcp")}[self.value]


SCHEMES = {
    "rtsp": Kind.RTSP,
    "rtsps": Kind.RTSP,
    "http": Kind.HTTP,
    "https": Kind.HTTP,
    "srt": Kind.SRT,
}

_PARTS = re.compile(r"([^/?#]*)([^?#]*)(.*)", re.DOTALL)
_SECRET = re.compile(r"((?:pass(?:word|wd)?|pwd|token|secret|key)=)[^/&]+", re.IGNORECASE)
"""Some recorders want the password in the path."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=//)")


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address. url: as FFmpeg takes it, or a file's path."""

    url: str
    kind: Kind

    def check_available(self) -> None:
        """What can be told without connecting. Raises InputError."""
        if self.kind is Kind.SRT:
            from stream import srt

            srt.library()

    @property
    def shown(self) -> str:
        """Without user, password and query, which often hold a secret."""
        return shown(self.url)


def read(text: str, *, files: bool) -> Address:
    """Check an address. files: one on this machine may be named. Raises InputError.

    Only its own host, scheme and path are looked at: whether there is a camera shows later.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("a camera needs an address such as rtsp://host/stream")
    text = text.strip()
    if len(text) > MAX_ADDRESS:
        raise InputError(f"address of {len(text)} characters; at most {MAX_ADDRESS} are read")
    if not text.isprintable():
        raise InputError("address holds characters that cannot be printed")
    scheme = _SCHEME.match(text)
    if scheme is None or scheme[1].lower() == "file":
        return _file(text, files)
    kind = SCHEMES.get(scheme[1].lower())
    if kind is None:
        wanted = ", ".join(SCHEMES)
        raise InputError(f"scheme {scheme[1][:20]} is not read; wanted {wanted} or a file's path")
    if kind is Kind.SRT:
        if srt_address.read(text).is_listener:
            raise InputError("a camera by SRT is called, not waited for: leave out mode=listener")
        return Address(text, kind)
    return Address(with_host(text, shown), kind)


def shown(url: str) -> str:
    """An address without what may be secret."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url
    place, path, query = _PARTS.fullmatch(url[scheme.end() + 2 :]).groups()  # type: ignore[union-attr]
    if "@" in path + query:  # perhaps a password with a / or ? in it: nobody can tell
        return f"{scheme[0]}//***"
    user, _, host = place.rpartition("@")
    path = _SECRET.sub(r"\1***", path)
    return f"{scheme[0]}//{'***@' if user else ''}{host}{path}{'?***' if query else ''}"


def with_host(text: str, shown: Callable[[str], str]) -> str:
    """The text, if it names a host and a port that there can be. Raises InputError."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"address {shown(text)} cannot be read; is its port right?") from error
    if not host:
        raise InputError(f"address {shown(text)} names no host")
    return text


def _file(text: str, files: bool) -> Address:
    if not files:
        raise InputError(
            "a file can be named on the command line only (segstream camera add); wanted "
            f"{', '.join(SCHEMES)}"
        )
    path = unquote(urlsplit(text).path) if text.lower().startswith("file:") else text
    return Address(str(Path(path).expanduser().absolute()), Kind.FILE)
