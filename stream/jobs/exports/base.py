"""What every export is: a file that grows with the pictures and is there whole or not at all."""

import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TextIO

from stream.jobs.exports.shown import Shown
from stream.media import AudioPacket


class Export(Protocol):
    def write(self, shown: Shown) -> None:
        """The next picture."""

    def write_audio(self, packet: AudioPacket) -> None:
        """A packet of sound; it is used up."""

    def finish(self) -> None:
        """The file is complete and gets its name."""

    def abort(self) -> None:
        """Remove what was written."""


class Silent:
    """Of what holds no sound."""

    def write_audio(self, packet: AudioPacket) -> None:
        """Dropped."""


class TextFile(Silent):
    """A text that is written line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._file: TextIO = self._part.open("w", encoding="utf-8")

    def finish(self) -> None:
        self._file.close()
        os.replace(self._part, self._path)

    def abort(self) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            self._part.unlink()


class ZipFile(Silent):
    """An archive with one entry a picture."""

    def __init__(self, path: Path, compression: int) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._archive = zipfile.ZipFile(self._part, "w", compression)

    def finish(self) -> None:
        self._archive.close()
        os.replace(self._part, self._path)

    def abort(self) -> None:
        self._archive.close()
        with suppress(FileNotFoundError):
            self._part.unlink()
