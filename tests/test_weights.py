"""Downloading weights: whole or not at all, gone on with after a break, and never another file."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream.errors import ModelError
from stream.track import weights
from stream.track.weights import Checkpoint, cache_directory

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    content = CONTENT
    breaks_at = len(CONTENT)
    status: int | None = None
    ranges: list[str | None] = []  # noqa: RUF012 (reset by the fixture)

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        self.ranges.append(given)
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        if self.status == 200:
            start = 0
        self.send_response(self.status or (206 if given else 200))
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : self.breaks_at])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Checkpoint]:
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path))
    Handler.content, Handler.ranges, Handler.breaks_at = CONTENT, [], len(CONTENT)
    Handler.status = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/weights.pt"
        yield Checkpoint(url, SHA256, len(CONTENT))
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert weights.fetch(checkpoint).read_bytes() == CONTENT
    assert weights.fetch(checkpoint) == tmp_path / "weights.pt"
    assert Handler.ranges == [None]
    weights.check(checkpoint)


def test_a_broken_download_is_gone_on_with(checkpoint: Checkpoint, tmp_path: Path) -> None:
    Handler.breaks_at = 300_000
    with pytest.raises(ModelError, match=r"broke off at 300000 of 1024000 bytes.*put it at"):
        weights.fetch(checkpoint)
    assert not (tmp_path / "weights.pt").exists()
    Handler.breaks_at = len(CONTENT)
    assert weights.fetch(checkpoint).read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=300000-"]


def test_a_server_that_knows_no_ranges_begins_again(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT[:1000])
    Handler.status = 200
    assert weights.fetch(checkpoint).read_bytes() == CONTENT


def test_a_part_that_is_whole_needs_no_server(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(CONTENT)
    assert weights.fetch(checkpoint).read_bytes() == CONTENT
    assert Handler.ranges == []


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", CONTENT + b"more"])
def test_another_file_never_comes_to_its_place(
    checkpoint: Checkpoint, tmp_path: Path, content: bytes
) -> None:
    Handler.content, Handler.breaks_at = content, len(content)
    with pytest.raises(ModelError, match=r"not the published file.*deleted"):
        weights.fetch(checkpoint)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_is_not_used(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"short")
    with pytest.raises(ModelError, match="5 bytes instead of 1024000; delete it"):
        weights.fetch(checkpoint)
    assert weights.download(checkpoint).read_bytes() == CONTENT


def test_damage_of_the_same_size_is_found_by_its_hash(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt").write_bytes(bytes(len(CONTENT)))
    assert weights.fetch(checkpoint) == tmp_path / "weights.pt"
    with pytest.raises(ModelError, match=f"damaged: its SHA-256 is .* wanted {SHA256}"):
        weights.check(checkpoint)


def test_what_the_server_answers_is_said(checkpoint: Checkpoint) -> None:
    Handler.status = 403
    with pytest.raises(ModelError, match="the server answers 403 Forbidden"):
        weights.fetch(checkpoint)


def test_without_internet_the_error_says_where_the_file_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path))
    checkpoint = Checkpoint("http://127.0.0.1:9/weights.pt", SHA256, len(CONTENT))
    with pytest.raises(ModelError, match=f"refused.*put it at {tmp_path / 'weights.pt'}"):
        weights.fetch(checkpoint)


def test_a_full_disk_is_met_before_the_download(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(ModelError, match=r"no room in .*SEGSTREAM_CACHE"):
        weights.fetch(checkpoint)
    assert Handler.ranges == []


@pytest.mark.parametrize(
    ("platform", "environment", "wanted"),
    [
        ("linux", {}, "/home/me/.cache/segstream"),
        ("linux", {"XDG_CACHE_HOME": "/data"}, "/data/segstream"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/segstream"),
        ("darwin", {}, "/home/me/Library/Caches/segstream"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/segstream/Cache"),
        ("win32", {}, "/home/me/AppData/Local/segstream/Cache"),
        ("darwin", {"SEGSTREAM_CACHE": "/mine"}, "/mine"),
        ("linux", {"SEGSTREAM_CACHE": "~/mine"}, "/home/me/mine"),
    ],
)
def test_the_cache_is_where_the_platform_wants_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], wanted: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_directory(platform, environment) == Path(wanted)
