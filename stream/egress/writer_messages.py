"""What the server and the process that sends to one target say to each other.

To the process: a line of JSON each, that of a picture or of sound followed by its bytes. From it:
lines of JSON.
"""

import json
from dataclasses import asdict, dataclass
from typing import BinaryIO

from stream.egress.publication import Failure
from stream.egress.target import Kind
from stream.errors import InputError

MAX_LINE = 64 * 1024
"""Two addresses of MAX_ADDRESS characters, each escaped as two of six, fit."""

MAX_PICTURE = 16 * 1024 * 1024
"""Bytes of an encoded picture: more than a key frame of the largest that is taken."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """rate: samples a second. channels: 1 or 2."""

    rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Open:
    """Connect with the next key frame, anew if there is a connection with other sound.

    sound: that will come; None: only pictures will. tcurl, proxy: as in a Route.
    """

    url: str
    kind: Kind
    sound: SoundFormat | None = None
    tcurl: str | None = None
    proxy: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """size: of the H264 that follows, Annex B. pts: in units of 1/90000 s, ever growing."""

    size: int
    pts: int
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """size: bytes that follow, of 16-bit samples, channels interleaved. pts: as a picture's, of the
    first sample."""

    size: int
    pts: int


@dataclass(frozen=True, slots=True)
class End:
    """Say goodbye to the target as its protocol has it, and end."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From the process: it can open something."""


@dataclass(frozen=True, slots=True)
class Written:
    """From the process: one more picture, or one more frame of sound, in the order in which they
    came, was handed to the network; or it was not, for nobody is there yet."""

    taken: bool = True


@dataclass(frozen=True, slots=True)
class Closed:
    """From the process: nothing more can be sent."""

    failure: Failure
    detail: str = ""


Order = Open | Picture | Sound | End
Report = Ready | Written | Closed

_KINDS = {kind.__name__: kind for kind in (Open, Picture, End, Ready, Written, Closed)}


def encode(message: Order | Report) -> bytes:
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def read_order(pipe: BinaryIO) -> tuple[Order, bytes] | None:
    """The next order, with the bytes that follow; None at the end. Trusted: from the server."""
    line = pipe.readline(MAX_LINE)
    if not line:
        return None
    fields = json.loads(line)
    match fields.pop("is"):
        case "Open":
            sound = fields["sound"] and SoundFormat(**fields["sound"])
            kind = Kind(fields["kind"])
            return Open(fields["url"], kind, sound, fields["tcurl"], fields["proxy"]), b""
        case "End":
            return End(), b""
        case "Sound":
            order: Picture | Sound = Sound(**fields)
        case _:
            order = Picture(**fields)
    return order, pipe.read(order.size)


def decode_report(line: bytes) -> Report:
    """Half trusted: the process reads what a stranger answers. Raises InputError."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("is")]
        if kind is Closed:
            return Closed(Failure(fields["failure"]), str(fields.get("detail", ""))[:200])
        message = kind(**fields)
        if isinstance(message, Written) and not isinstance(message.taken, bool):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("the writer says what is not understood") from error
    if not isinstance(message, Ready | Written):
        raise InputError("the writer says what only the server may")
    return message
