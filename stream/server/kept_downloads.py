"""What can be fetched of recordings, kept beside them until the server's next start.

FOLDER/_downloads/NAME.json, one for each address, readable by the server's user alone. NAME is a
hash of the address's secret, so who reads the folder, or a copy of it, learns no address.
"""

import contextlib
import json
import logging
import os
import re
import threading
from pathlib import Path, PurePosixPath

from stream.egress.recording import Written
from stream.limits import MAX_DOWNLOADABLE, RECORD_REMEMBERED

log = logging.getLogger(__name__)

FOLDER = "_downloads"
"""Beside the folders of cameras, whose names begin otherwise."""

MAX_BYTES = 1024 * 1024
"""Of one file: RECORD_REMEMBERED paths are a tenth of it."""

_NAME = re.compile(r"[0-9a-f]{64}")


class KeptDownloads:
    """records: the folder of all recordings. What cannot be kept is only logged: then it can be
    fetched until the server ends. Its methods may be called in any thread."""

    def __init__(self, records: Path) -> None:
        self._records = records
        self._folder = records / FOLDER
        self._lock = threading.Lock()

    def save(self, name: str, written: Written) -> None:
        """Keep what there is of it now, unless it was forgotten meanwhile."""
        try:
            with self._lock:
                if written.changed is not None:
                    self._write(name, written)
        except (OSError, ValueError) as error:
            log.warning("the addresses of recordings will not outlast the server: %s", error)

    def forget(self, name: str, written: Written) -> None:
        with self._lock, contextlib.suppress(OSError):
            written.changed = None
            self._path(name).unlink()

    def load(self) -> dict[str, Written]:
        """By their names, those first that were begun first. Of what has no file left, or cannot be
        read, or is more than is kept, nothing stays."""
        found: list[tuple[str, Written]] = []
        with self._lock, contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                try:
                    found.append((path.stem, self._read(path)))
                except (OSError, LookupError, ValueError, TypeError, ArithmeticError):
                    with contextlib.suppress(OSError):
                        path.unlink()
        found.sort(key=lambda each: each[1].began)
        for name, written in found[:-MAX_DOWNLOADABLE]:
            self.forget(name, written)
        return dict(found[-MAX_DOWNLOADABLE:])

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _write(self, name: str, written: Written) -> None:
        files = [path.relative_to(self._records).as_posix() for path in tuple(written.paths)]
        text = json.dumps({"began": written.began, "ended": written.ended, "files": files})
        self._folder.mkdir(mode=0o700, exist_ok=True)
        part = self._folder / f"{name}.part"
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW
        with open(os.open(part, flags, 0o600), "w") as file:
            file.write(text)
        os.replace(part, self._path(name))

    def _read(self, path: Path) -> Written:
        """Raises what a file that somebody has changed may lead to."""
        if path.suffix != ".json" or not _NAME.fullmatch(path.stem):
            raise ValueError
        if path.stat().st_size > MAX_BYTES:
            raise ValueError
        fields = json.loads(path.read_text())
        written = Written(began=float(fields["began"]))
        written.paths.extend(map(self._recorded, fields["files"][-RECORD_REMEMBERED:]))
        times = [file.stat().st_mtime for file in written.paths if file.is_file()]
        if not times:
            raise ValueError
        # What had not ended then has ended with the server.
        written.ended = max(times) if fields["ended"] is None else float(fields["ended"])
        return written

    def _recorded(self, text: str) -> Path:
        """Nothing but a recording, whoever has written into the file."""
        place = PurePosixPath(text)
        if place.is_absolute() or ".." in place.parts or place.suffix != ".mp4":
            raise ValueError
        return self._records / place
