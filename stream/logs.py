"""The log: text or JSON lines on standard error, with what it is about, and with no secrets.

`with about(session=id):` lets every line logged within it, and by tasks begun in it, carry the
session's id; `extra={"job": id}` does so for one line.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from traceback import format_exception

from stream.settings import Settings, keys

SUBJECTS = ("session", "job", "camera", "key")
"""What a line can be about, each by its id (of a key, the id, not the key)."""

HIDDEN = "***"

NOISY = ("aioice", "aiortc")
"""Libraries that log every candidate and packet."""

SECRET_WORD = (
    r"(?:(?:token|secret|password|passwd|api[-_]?key|signature|credential)s?|authorization"
    r"|\b(?:pwd|sig))"
)

# Bounded, and with no start that a pattern could be tried from twice: a client can make a message
# long, and the time must grow with its length only.
PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # https://user:password@host; turn:user:password@host has no slashes.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s/?#'\"]{1,512}@", re.I), rf"\1{HIDDEN}@"),
    (re.compile(r"(\b(?:turns?|stuns?):)[^\s/'\"]{1,512}@", re.I), rf"\1{HIDDEN}@"),
    # An API key, or a session token; the first part tells which one.
    (re.compile(r"\b(sgs_[0-9a-f]{12}|sgt_[0-9a-f]{12}_[0-9]{1,12})_[\w-]{43}"), rf"\1_{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", re.I), rf"\1 {HIDDEN}"),
    # name=value, "name": "value", name: value; also in queries of URLs.
    (
        re.compile(
            rf"({SECRET_WORD}[\"']?\s{{0,3}}[=:]\s{{0,3}}[\"']?)(?!(?:bearer|basic)\s)"
            r"[^\s\"'&,;)}\]]{1,4096}",
            re.I,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"([?&]key=)[^\s\"'&#]{1,4096}", re.I), rf"\1{HIDDEN}"),
)

_subjects: ContextVar[dict[str, str]] = ContextVar("subjects")
_known: set[str] = set()


@contextmanager
def about(**subjects: str) -> Iterator[None]:
    """Of SUBJECTS, those given, beside what is given around it."""
    before = _subjects.set({**_subjects.get({}), **subjects})
    try:
        yield
    finally:
        _subjects.reset(before)


def hide(secret: str) -> None:
    """Never log this text; for what no pattern can know. Shorter ones would hide common words."""
    if len(secret) >= 4:
        _known.add(secret)


def redact(text: str) -> str:
    """The text without passwords in URLs, tokens, keys, and what `hide` was told of."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return text


def configure(settings: Settings, process: str = "server") -> None:
    """Log to standard error as the settings say, in place of what was set up before.

    process: which one of the program's it is.
    """
    for found, key in keys():
        value = getattr(settings, found.name)
        if key.secret and isinstance(value, str):
            hide(value)
    for server in settings.ice_servers:
        hide(server.credential or "")
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.log_format == "json"
    handler.setFormatter(JsonLines(process) if is_json else Lines(process))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def subjects_of(record: logging.LogRecord) -> dict[str, str]:
    """What a line is about; its own `extra` goes before what is around it."""
    around = _subjects.get({})
    found = {name: getattr(record, name, around.get(name)) for name in SUBJECTS}
    return {name: str(value) for name, value in found.items() if value is not None}


class JsonLines(logging.Formatter):
    """One object a line: time (UTC, RFC 3339), level, logger, process, message, what it is about,
    and the traceback, if any, as `error`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{whole}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "message": redact(record.getMessage()),
            **{name: redact(id) for name, id in subjects_of(record).items()},
        }
        if (trace := _traceback(record)) is not None:
            line["error"] = redact(trace)
        return json.dumps(line, ensure_ascii=False)


class Lines(logging.Formatter):
    """For people. What a line is about stands in its message already."""

    def __init__(self, process: str) -> None:
        super().__init__("%(asctime)s %(levelname)s")
        self._prefix = "" if process == "server" else f"{process}: "

    def format(self, record: logging.LogRecord) -> str:
        head = f"{self.formatTime(record)} {record.levelname} {self._prefix}"
        # A message holds what clients sent, which must not look like lines of its own.
        message = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", _escaped, redact(record.getMessage()))
        trace = _traceback(record)
        return f"{head}{message}" if trace is None else f"{head}{message}\n{redact(trace)}"


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def _traceback(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    return "".join(format_exception(record.exc_info[1])).rstrip()
