"""What the server and the process that reads a camera say to each other, a line of JSON each.

Pictures lie in shared memory: SLOTS places of SLOT_BYTES, each with one picture's planes in
YUV 4:2:0, Y, U and V one after the other without gaps between rows.
"""

import base64
import json
import math
from dataclasses import asdict, dataclass

from stream.errors import InputError
from stream.ingest.address import Kind
from stream.ingest.source import Failure
from stream.limits import MAX_SIDE

SLOTS = 3
"""One is written, one waits, one is read."""

SLOT_BYTES = MAX_SIDE * MAX_SIDE * 3 // 2
"""The largest picture's. Pages that are never written cost nothing."""

SOUND_RATE, SOUND_SAMPLES = 48_000, 960
"""Samples a second, and in a frame of 20 ms: what sound by WebRTC has too."""

SOUND_BYTES = SOUND_SAMPLES * 2 * 2
"""Of a frame: 16 bits for each of two channels."""

MAX_LINE = 8192


@dataclass(frozen=True, slots=True)
class Open:
    """To the reader. loop: something that ends is played again from its beginning.

    sound: is to be read too, if there is some.
    """

    url: str
    kind: Kind
    transport: str
    loop: bool
    sound: bool = True


@dataclass(frozen=True, slots=True)
class Free:
    """To the reader: a slot was read."""

    slot: int


@dataclass(frozen=True, slots=True)
class Ready:
    """From the reader: it can open something."""


@dataclass(frozen=True, slots=True)
class Opened:
    """From the reader: what the source will send. codec, sound: of the pictures, and of the sound;
    empty: none."""

    codec: str
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Packet:
    """From the reader: the first data came."""


@dataclass(frozen=True, slots=True)
class Picture:
    """From the reader: a picture lies in a slot.

    pts: seconds by the source's clock, None without one. age: seconds since it was decoded.
    space, primaries, transfer: FFmpeg's numbers for its colours; its range is always limited.
    dropped, damaged: pictures since the connection began that the server had no time for, or
    packets that could not be decoded.
    """

    slot: int
    width: int
    height: int
    pts: float | None
    space: int
    primaries: int
    transfer: int
    dropped: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Sound:
    """From the reader: a frame of sound.

    pts: seconds by the source's clock, of its first sample. samples: base64 of SOUND_BYTES, the two
    channels interleaved. dropped: frames since the connection began that did not get here.
    """

    pts: float
    samples: str
    dropped: int = 0

    @classmethod
    def of(cls, pts: float, samples: bytes) -> "Sound":
        return cls(pts, base64.b64encode(samples).decode())

    @property
    def data(self) -> bytes:
        """Raises ValueError."""
        return base64.b64decode(self.samples, validate=True)


@dataclass(frozen=True, slots=True)
class Closed:
    """From the reader: nothing more comes of what was opened."""

    failure: Failure
    detail: str = ""


Order = Open | Free
Report = Ready | Opened | Packet | Picture | Sound | Closed

_KINDS = {
    kind.__name__: kind for kind in (Open, Free, Ready, Opened, Packet, Picture, Sound, Closed)
}


def encode(message: Order | Report) -> bytes:
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """Trusted: from the server."""
    fields = json.loads(line)
    if fields.pop("is") == "Free":
        return Free(**fields)
    return Open(**{**fields, "kind": Kind(fields["kind"])})


def decode_report(line: bytes) -> Report:
    """Half trusted: the reader decodes what a stranger sends. Raises InputError."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("is")]
        if kind is Closed:
            fields["failure"] = Failure(fields["failure"])
        message = kind(**fields)
        if isinstance(message, Sound):
            is_whole = len(message.data) == SOUND_BYTES and math.isfinite(message.pts)
            if not is_whole or not isinstance(message.dropped, int):
                raise InputError("the reader's sound is no frame")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("the reader says what is not understood") from error
    if isinstance(message, Picture):
        _check(message)
    assert isinstance(message, Ready | Opened | Packet | Picture | Sound | Closed)
    return message


def _check(picture: Picture) -> None:
    sides = (picture.width, picture.height)
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in sides):
        raise InputError("the reader's picture has no size")
    if picture.slot not in range(SLOTS):
        raise InputError("the reader's picture is nowhere")


def shapes(width: int, height: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the Y, U and V planes."""
    chroma = ((height + 1) // 2, (width + 1) // 2)
    return (height, width), chroma, chroma
