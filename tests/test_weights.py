"""Downloading weights: whole or not at all, and gone on with after a break."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stream.errors import ModelError
from stream.track import weights

CONTENT = bytes(range(256)) * 4000


class Handler(BaseHTTPRequestHandler):
    breaks_at = len(CONTENT)
    ranges: list[str | None] = []  # noqa: RUF012 (reset by the fixture)

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        self.ranges.append(given)
        start = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        self.send_response(206 if given else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : self.breaks_at])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path))
    Handler.ranges, Handler.breaks_at = [], len(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/weights.pt"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once(url: str, tmp_path: Path) -> None:
    assert weights.fetch(url).read_bytes() == CONTENT
    assert weights.fetch(url) == tmp_path / "weights.pt"
    assert Handler.ranges == [None]


def test_a_broken_download_is_gone_on_with(url: str, tmp_path: Path) -> None:
    Handler.breaks_at = 300_000
    with pytest.raises(ModelError, match="put it at"):
        weights.fetch(url)
    assert not (tmp_path / "weights.pt").exists()
    Handler.breaks_at = len(CONTENT)
    assert weights.fetch(url).read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=300000-"]


def test_without_internet_the_error_says_where_the_file_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=str(tmp_path / "weights.pt")):
        weights.fetch("http://127.0.0.1:9/weights.pt")
