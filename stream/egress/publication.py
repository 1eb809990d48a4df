"""The state of one publication and what to do next, without a network or a clock of its own.

    connecting ──first picture taken──► live ──end──► waiting ──► connecting …
        ├──failure that passes by itself──────────────►┘
        └──failure that a person must mend──► failed ──(retried slowly)──► connecting …

Times are seconds of time.monotonic().
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum

import av

from stream.egress.bitrate import FLOOR, HEADROOM, START
from stream.ingest.source import wait_before
from stream.limits import PERMANENT_WAIT, STEADY_AFTER
from stream.srt import SrtError


class Phase(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    FAILED = "failed"


class Failure(StrEnum):
    """Why a target takes no pictures; the value is what programs test for."""

    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    SILENT = "silent"
    CLOSED = "closed"
    LEFT = "left"
    CRASHED = "crashed"
    UNSUPPORTED = "unsupported"
    FORBIDDEN = "forbidden"


MESSAGES = {
    Failure.CREDENTIALS: "user, password or token is wrong, or missing",
    Failure.NOT_FOUND: "there is nothing to publish to at this path",
    Failure.UNREACHABLE: "it cannot be reached",
    Failure.REFUSED: "it does not take the stream",
    Failure.SILENT: "it takes no pictures any more",
    Failure.CLOSED: "it closed the connection",
    Failure.LEFT: "who watched it has left; it waits for the next",
    Failure.CRASHED: "the process that sends to it died",
    Failure.UNSUPPORTED: "it cannot be published to from here",
    Failure.FORBIDDEN: (
        "it is at an address that is not public; the operator may allow it with "
        "SEGSTREAM_FETCH_ALLOW"
    ),
}

PERMANENT = frozenset({Failure.CREDENTIALS, Failure.UNSUPPORTED, Failure.FORBIDDEN})
"""What a person must mend. A path that is not found may be one that is yet to be made."""


def classify(error: BaseException) -> Failure:
    """Why opening or writing failed. FFmpeg tells RTSP's status codes as HTTP's."""
    match error:
        case SrtError():
            return Failure(error.reason)
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return Failure.CREDENTIALS
        case av.error.HTTPNotFoundError():
            return Failure.NOT_FOUND
        case (
            av.error.HTTPError()
            | av.error.HTTPClientError()
            | av.error.InvalidDataError()
            | av.error.UnknownError()
        ):
            return Failure.REFUSED
        case av.error.ProtocolNotFoundError() | av.error.MuxerNotFoundError():
            return Failure.UNSUPPORTED
        case av.error.EOFError() | ConnectionResetError() | BrokenPipeError():
            return Failure.CLOSED
        case TimeoutError() | av.error.ExitError():
            return Failure.SILENT
    return Failure.UNREACHABLE


@dataclass(slots=True)
class Progress:
    """Every method is told the time.

    failure, detail: the last, None and empty while live. until: when it is tried again.
    reconnects: connections that ended or failed, since the start.
    """

    phase: Phase = Phase.CONNECTING
    failure: Failure | None = None
    detail: str = ""
    until: float | None = None
    reconnects: int = 0
    live_since: float | None = None
    _attempt: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def connect(self) -> None:
        self.phase, self.until, self.live_since = Phase.CONNECTING, None, None

    def live(self, now: float) -> None:
        """A picture was taken."""
        if self.live_since is None:
            self.live_since = now
            self.phase, self.failure, self.detail = Phase.LIVE, None, ""
        elif now - self.live_since > STEADY_AFTER:
            self._attempt = 0

    def lost(self, now: float, failure: Failure, detail: str = "") -> float:
        """The connection failed or ended; returns how long to wait before the next."""
        self.failure, self.detail = failure, detail
        self.reconnects += 1
        self.live_since = None
        if failure is Failure.LEFT:
            self._attempt = 0
        if failure in PERMANENT:
            self.phase = Phase.FAILED
            wait = PERMANENT_WAIT * (0.5 + 0.5 * self._random.random())
        else:
            self.phase = Phase.WAITING
            wait = wait_before(self._attempt, self._random.random())
            self._attempt += 1
        self.until = now + wait
        return wait

    @property
    def reason(self) -> str:
        if self.failure is None:
            return ""
        return MESSAGES[self.failure] + (f" ({self.detail})" if self.detail else "")


SLOW = 0.3
"""Seconds that a picture may take until the network has taken it."""

DOWN, UP, PAUSE = 0.7, 1.08, 1.0
"""What the rate is multiplied with after each pause, in seconds, in which a picture was slow, or
none was: half as much is reached within two, twice as much within nine."""


@dataclass(slots=True)
class UploadRate:
    """Bits per second that a target's network carries, which RTSP and RTMP do not tell.

    cap: that encoders may be asked for.
    """

    cap: int
    estimate: int = START
    _worst: float = 0.0
    _changed: float | None = None

    def taken(self, delay: float, now: float) -> int:
        """The estimate now. delay: seconds that the picture took which has just been taken."""
        self._worst = max(self._worst, delay)
        if self._changed is None:
            self._changed = now
        elif now - self._changed >= PAUSE:
            factor = DOWN if self._worst > SLOW else UP
            highest = int(self.cap / HEADROOM) + 1
            self.estimate = min(max(int(self.estimate * factor), FLOOR), highest)
            self._changed, self._worst = now, 0.0
        return self.estimate
