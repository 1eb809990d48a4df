"""MediaPipe's selfie segmentation, run in Chromium: another model's opinion of where people are.

Its npm package (Apache 2.0) is fetched once with `npm pack`; nothing of it is kept in this
repository.
"""

import base64
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from threading import Thread

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

PACKAGE = "@mediapipe/selfie_segmentation@0.1.1675465747"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
FETCH_TIMEOUT = 120.0
LOAD_TIMEOUT = 60_000.0
"""Milliseconds, for the page and its model."""

PAGE = """<!doctype html><script src="selfie_segmentation.js"></script><script>
const segmentation = new SelfieSegmentation({locateFile: (name) => name});
segmentation.setOptions({modelSelection: 0, selfieMode: false});
const canvas = document.createElement("canvas");
let found = null;
segmentation.onResults((results) => {
  canvas.width = results.image.width;
  canvas.height = results.image.height;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(results.segmentationMask, 0, 0, canvas.width, canvas.height);
  found = canvas.toDataURL("image/png");
});
async function segment(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  found = null;
  await segmentation.send({image});
  return found;
}
</script>"""


def fetch(folder: Path) -> Path:
    """The package's files below `folder`, fetched unless they are there.

    Raises RuntimeError that says what is missing.
    """
    files = folder / "package"
    if not (files / "selfie_segmentation.js").exists():
        if which("npm") is None:
            raise RuntimeError("npm is needed to fetch MediaPipe: apt-get install npm")
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE],
            cwd=folder,
            timeout=FETCH_TIMEOUT,
            check=True,
            capture_output=True,
            text=True,
        )
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    for file in files.iterdir():
        file.chmod(0o644)
    (files / "index.html").write_text(PAGE)
    return files


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def segmenter(folder: Path) -> Iterator["Segmenter"]:
    """Chromium with the model loaded. folder: where the package is kept."""
    files = fetch(folder)
    browser = next((path for name in BROWSERS if (path := which(name))), None)
    if browser is None:
        raise RuntimeError(
            "no Chromium found; install it, on Debian and Ubuntu: apt-get install chromium"
        )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(files)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=SWITCHES)
            page = chromium.new_page()
            page.set_default_timeout(LOAD_TIMEOUT)
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            yield Segmenter(page)
            chromium.close()
    finally:
        server.shutdown()


class Segmenter:
    def __init__(self, page: Page) -> None:
        self._page = page

    def people(self, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.bool_]]:
        """bool [H, W] for each RGB uint8 [H, W, 3] of one clip, in order: it smooths over time."""
        for rgb in pictures:
            _, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            url = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
            png = base64.b64decode(self._page.evaluate("segment", url).split(",")[1])
            rgba = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
            yield rgba[..., 3] > 127
