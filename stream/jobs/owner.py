"""Which server a job belongs to, and whether that server still runs.

A server locks a file of its own. The system lets the lock go when the process ends, however it
ends, and no process id is ever mistaken for another's.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one server a folder, then
    fcntl = None  # type: ignore[assignment]


class Owner:
    """id: of this server. folder: of the lock files, one for all servers of a database."""

    def __init__(self, folder: Path) -> None:
        self.id = secrets.token_hex(8)
        self._folder = folder
        folder.mkdir(exist_ok=True, mode=0o700)
        self._file = os.open(self._path(self.id), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def is_alive(self, id: str) -> bool:
        """Whether the server of this id runs; the file of one that does not is removed."""
        if id == self.id:
            return True
        try:
            file = os.open(self._path(id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        self._path(id).unlink(missing_ok=True)
        return False

    def close(self) -> None:
        with suppress(FileNotFoundError):
            self._path(self.id).unlink()
        os.close(self._file)

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.lock"
