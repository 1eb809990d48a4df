"""Where a stream is published to: which addresses are taken, and how they are shown.

An address may hold a password or a stream key. It goes to whatever opens it and into the camera
file, and nowhere else: whatever is printed, logged or answered is `shown`.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit, urlunsplit

from stream import srt_address
from stream.errors import InputError
from stream.ingest import address
from stream.limits import MAX_ADDRESS


class Kind(StrEnum):
    """How a stream gets there."""

    RTSP = "rtsp"
    RTMP = "rtmp"
    SRT = "srt"
    WHIP = "whip"
    V4L2 = "v4l2"


SCHEMES = {
    "rtsp": Kind.RTSP,
    "rtsps": Kind.RTSP,
    "rtmp": Kind.RTMP,
    "rtmps": Kind.RTMP,
    "srt": Kind.SRT,
    "http": Kind.WHIP,
    "https": Kind.WHIP,
    "v4l2": Kind.V4L2,
}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DEVICE = re.compile(r"v4l2:///dev/video[0-9]{1,3}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address. url: as it was given."""

    url: str = field(repr=False)
    kind: Kind

    @property
    def shown(self) -> str:
        return shown(self.url)

    @property
    def host(self) -> str:
        """Name or address; of a virtual camera nothing."""
        return urlsplit(self.url).hostname or ""

    @property
    def device(self) -> str:
        """Of a virtual camera: /dev/video10."""
        return urlsplit(self.url).path

    @property
    def waits(self) -> bool:
        """To be called, instead of calling."""
        return self.kind is Kind.SRT and srt_address.read(self.url).is_listener

    @property
    def endpoint(self) -> tuple[str, str]:
        """Of WHIP: the address without its user, and the bearer token that stood in its place."""
        parts = urlsplit(self.url)
        token = unquote(parts.password or parts.username or "")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=host, fragment="")), token


def read(text: object, *, files: bool) -> Target:
    """Check an address. files: a device of this machine may be named. Raises InputError.

    Whether anybody takes the stream there shows later.
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError("a target needs an address such as rtsp://host/stream")
    text = text.strip()
    if len(text) > MAX_ADDRESS:
        raise InputError(f"target of {len(text)} characters; at most {MAX_ADDRESS} are read")
    if not text.isprintable() or " " in text:
        raise InputError("target holds spaces or characters that cannot be printed")
    scheme = _SCHEME.match(text)
    kind = SCHEMES.get(scheme[1].lower()) if scheme else None
    if kind is None:
        named = f"scheme {scheme[1][:20]}" if scheme else "the target has no scheme that"
        wanted = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(f"{named} cannot be published to; wanted {wanted}")
    if kind is Kind.V4L2:
        if not _DEVICE.fullmatch(text):
            raise InputError(f"target {text[:60]} is no device; wanted v4l2:///dev/video10")
        if not files:
            raise InputError(
                "a device can be named on the command line only (segstream camera add --publish)"
            )
        return Target(text, kind)
    if kind is Kind.SRT:
        if srt_address.read(text).is_listener and not files:
            raise InputError(
                "a port to wait at (mode=listener) can be named on the command line only "
                "(segstream camera add --publish)"
            )
        return Target(text, kind)
    return Target(address.with_host(text, shown), kind)


def shown(url: str) -> str:
    """An address without what may be secret: of RTMP also its last part, the stream key."""
    told = address.shown(url)
    scheme = _SCHEME.match(url)
    if scheme and SCHEMES.get(scheme[1].lower()) is Kind.RTMP and not told.endswith("***"):
        place, _, key = told[scheme.end() :].rpartition("/")
        return f"{scheme[0]}{place}/***" if key and place else told
    return told


def check_available(target: Target) -> None:
    """What can be told without connecting. Raises InputError."""
    if target.kind is Kind.SRT:
        from stream import srt

        srt.library()
    if target.kind is Kind.V4L2:
        from stream.egress import v4l2

        v4l2.check(target.device)
