"""Where the weights of the full models come from, and where they are kept."""

import os
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from stream.errors import ModelError

TIMEOUT = 30.0
"""Seconds without a byte from the server before a download is given up."""

CHUNK = 1 << 20


def cache_directory() -> Path:
    """`$SEGSTREAM_CACHE`, else segstream below the user's cache directory."""
    given = os.environ.get("SEGSTREAM_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segstream"


def fetch(url: str) -> Path:
    """The file behind `url`, from the cache or downloaded into it with a progress bar.

    A download that breaks off is gone on with at the next call; a file is in the cache only when
    it is whole. Raises ModelError that says where to put the file by hand.
    """
    path = cache_directory() / url.rpartition("/")[2]
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(url, part)
    except (urllib.error.URLError, OSError) as error:
        raise ModelError(
            f"could not download {url} ({error}); on a machine without internet, "
            f"download it elsewhere and put it at {path}"
        ) from error
    part.replace(path)
    return path


def _download(url: str, part: Path) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if answer.status != 206:
            done = 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length else None
        with (
            part.open("ab" if done else "wb") as file,
            tqdm(total=total, initial=done, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and part.stat().st_size != total:
            raise OSError(f"the download broke off at {part.stat().st_size} of {total} bytes")
