"""Weights of the full models: where they are kept, how they get there, whether they are whole."""

import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from stream import __version__
from stream.errors import ModelError

TIMEOUT = 30.0
"""Seconds without a byte from the server before a download is given up."""

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published file. sha256: of its content, in hexadecimal. size: in bytes."""

    url: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        """Where it is, or would be, in the cache."""
        return cache_directory() / self.url.rpartition("/")[2]


def cache_directory(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ
) -> Path:
    """`$SEGSTREAM_CACHE`, else the place for caches by the platform's convention.

    Linux and the like: XDG Base Directory Specification; macOS: ~/Library/Caches; Windows:
    %LOCALAPPDATA%.
    """
    if given := environment.get("SEGSTREAM_CACHE"):
        return Path(given).expanduser()
    if platform == "darwin":
        return Path.home() / "Library" / "Caches" / "segstream"
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local or Path.home() / "AppData" / "Local") / "segstream" / "Cache"
    xdg = environment.get("XDG_CACHE_HOME", "")
    # The specification wants a relative path in the variable to be ignored.
    return (Path(xdg) if xdg.startswith("/") else Path.home() / ".cache") / "segstream"


def fetch(checkpoint: Checkpoint) -> Path:
    """The file from the cache, or downloaded into it.

    What is in the cache is judged by its size only: hashing is for `check`, and takes seconds.
    Raises ModelError as `download` does, or when the file in the cache has another size.
    """
    path = checkpoint.path
    if not path.exists():
        return download(checkpoint)
    if (size := path.stat().st_size) != checkpoint.size:
        raise ModelError(
            f"{path} is damaged: it has {size} bytes instead of {checkpoint.size}; delete it, "
            f"and it is downloaded again"
        )
    return path


def download(checkpoint: Checkpoint) -> Path:
    """Download the file into the cache with a progress bar, over what is there.

    A download that breaks off is gone on with at the next call. The file comes to its place only
    when it is whole and its SHA-256 is right. Raises ModelError that says where to put it by hand.
    """
    path = checkpoint.path
    part = path.with_name(path.name + ".part")
    by_hand = f"or get the file in another way and put it at {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(checkpoint, part)
        if _size(part) != checkpoint.size:
            _receive(checkpoint, part)
    # OSError covers what urllib raises: no name, no route, refused, timed out, broken off.
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(
            f"cannot download {checkpoint.url}: {_reason(error)}. Try again when there is a way "
            f"to the internet (what has arrived is kept), {by_hand}"
        ) from error
    found = sha256(part)
    if found != checkpoint.sha256:
        part.unlink()
        raise ModelError(
            f"what came from {checkpoint.url} is not the published file: its SHA-256 is {found}, "
            f"wanted {checkpoint.sha256}. It was deleted. Try again, {by_hand}"
        )
    part.replace(path)
    return path


def check(checkpoint: Checkpoint) -> None:
    """Compare the file in the cache with the published one. Raises ModelError when they differ."""
    found = sha256(checkpoint.path)
    if found != checkpoint.sha256:
        raise ModelError(
            f"{checkpoint.path} is damaged: its SHA-256 is {found}, wanted {checkpoint.sha256}"
        )


def sha256(path: Path) -> str:
    """Of the file's content, in hexadecimal. Raises ModelError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {_reason(error)}") from error


def _check_room(checkpoint: Checkpoint, part: Path) -> None:
    missing = checkpoint.size - _size(part)
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise ModelError(
            f"no room in {part.parent}: {missing / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB "
            f"free; make room, or set SEGSTREAM_CACHE to a folder elsewhere"
        )


def _receive(checkpoint: Checkpoint, part: Path) -> None:
    headers = {"User-Agent": f"segstream/{__version__}"}
    done = _size(part)
    # More than there should be cannot be gone on with.
    if 0 < done < checkpoint.size:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(checkpoint.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            done = 0
        with (
            part.open("ab" if done else "wb") as file,
            tqdm(
                total=checkpoint.size,
                initial=done,
                unit="B",
                unit_scale=True,
                desc=checkpoint.path.name,
                # A log gets a line now and then instead of ten a second.
                mininterval=0.1 if sys.stderr.isatty() else 10.0,
            ) as bar,
        ):
            while done < checkpoint.size and (chunk := answer.read(CHUNK)):
                file.write(chunk)
                done += len(chunk)
                bar.update(len(chunk))
    if done < checkpoint.size:
        raise OSError(f"it broke off at {done} of {checkpoint.size} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    """In words, without the brackets and numbers of Python's own form."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
