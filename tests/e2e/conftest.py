"""The real server, a real browser, and a fake camera that plays a real clip."""

import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from fake_camera import write_camera
from playwright.sync_api import sync_playwright
from rtsp_camera import write_clip
from running_server import ARTEFACTS, ROOT, Server, free_port
from screen import Screen

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
FAKE_CAMERA = "--use-fake-device-for-media-stream"
ALLOW = "--use-fake-ui-for-media-stream"


@pytest.fixture(scope="session", autouse=True)
def artefacts():
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS


@pytest.fixture(scope="session")
def server(artefacts):
    server = Server(free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def film_server(artefacts, tmp_path_factory):
    """A server with a camera, film, that plays a file, and with a folder for recordings."""
    home = tmp_path_factory.mktemp("film")
    server = Server(
        free_port(),
        SEGSTREAM_CAMERAS=str(home / "cameras.json"),
        SEGSTREAM_CAMERA_FILES="1",
        SEGSTREAM_RECORD=str(home / "recordings"),
    )
    server.start()
    clip = write_clip(home / "clip.mp4")
    server.post("cameras", {"name": "film", "url": str(clip), "effect": "none"})
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium():
    """Path of a Chromium with its video encoders: Playwright's own cannot send H264."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.fail("no Chromium found; install it, on Debian and Ubuntu: apt-get install chromium")


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def launch(playwright, chromium):
    """Start a browser, each with a profile of its own; all end with the tests."""
    browsers = []

    def launch(*switches):
        browser = playwright.chromium.launch(executable_path=chromium, args=[*SWITCHES, *switches])
        browsers.append(browser)
        return browser

    yield launch
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="session")
def browser(launch):
    """One with a camera that shows a pattern, and does not ask whether it may."""
    return launch(FAKE_CAMERA, ALLOW)


@pytest.fixture
def page(browser):
    """An empty page."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def webcam(launch, tmp_path_factory):
    """A browser whose camera shows a person at a webcam."""
    path = tmp_path_factory.mktemp("camera") / "person.y4m"
    return _with_camera(launch, write_camera(path, "webcam/night.mkv", 640, 480, last=60, step=2))


@pytest.fixture(scope="session")
def coffee(launch, tmp_path_factory):
    """A browser whose camera shows hands with a kettle and a mug."""
    path = tmp_path_factory.mktemp("camera") / "coffee.y4m"
    return _with_camera(launch, write_camera(path, "objects/04_coffee.mp4", 640, 360, last=8))


def _with_camera(launch, path):
    camera = f"--use-file-for-fake-video-capture={path}"
    return launch(FAKE_CAMERA, ALLOW, camera)


@pytest.fixture
def open_screen(server):
    """Open the page in a browser; init_script runs before the page's own scripts, and the other
    options are those of a Playwright context."""
    screens = []

    def open_screen(browser, url=server.url, init_script=None, **options):
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(**options)
        if init_script:
            context.add_init_script(init_script)
        screens.append(Screen(context.new_page(), url))
        return screens[-1]

    yield open_screen
    for screen in screens:
        screen.page.context.close()
    assert [fault for screen in screens for fault in screen.faults] == []


@pytest.fixture(scope="session")
def site():
    """The page's files alone, without a server behind them."""
    handler = partial(QuietFiles, directory=ROOT / "client_web")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        Thread(target=files.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass
