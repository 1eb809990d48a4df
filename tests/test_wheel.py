"""The package as it is given away: built, installed where nothing else is, and used from there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests import drawn_clips as clips

ROOT = Path(__file__).parents[1]
PARTS = (
    "stream",
    "client_web",
    "setup.py",
    "MANIFEST.in",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*arguments, **options):
    done = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=600,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the checkout, so that building leaves nothing in it."""
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def wheel(source):
    """Built from the source distribution, which is built from the copy."""
    run(sys.executable, "-m", "build", "--outdir", source / "dist", source)
    (wheel,) = (source / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an environment that holds the wheel and its plain dependencies only."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "python", "-m", "pip", "install", "-q", wheel)
    return environment / "bin"


@pytest.fixture
def elsewhere(tmp_path):
    """Keyword arguments of a process that cannot see the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {"cwd": tmp_path, "env": environment}


def test_what_is_in_the_wheel(source, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("client_web", "stream"):
        for file in (source / folder).rglob("*"):
            if not file.is_file() or file.suffix == ".pt":
                continue
            place = file.relative_to(source)
            assert str(Path("stream") / place if folder == "client_web" else place) in names
    assert "stream/client_web/index.html" in names
    assert any(name.startswith("stream/assets/nano/") for name in names)
    assert any(name.startswith("stream/assets/backgrounds/") for name in names)
    assert not any(name.endswith(".pt") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"stream", "segstream"}


def test_nothing_heavy_is_installed(installed, elsewhere):
    listed = run(installed / "python", "-m", "pip", "list", "--format", "json", **elsewhere)
    names = {package["name"].lower() for package in json.loads(listed)}
    assert "segstream" in names
    assert not names & {"torch", "torchvision", "rf-sam-2", "sam2", "pytest"}


def test_track(installed, elsewhere, tmp_path):
    clip = clips.beginning(clips.VIDEO / "objects" / "01_dog.mp4", tmp_path / "in.mp4", 0.5)
    arguments = ("track", clip, "--point", "640,360", "--background", "mountains")
    run(installed / "segstream", *arguments, "-o", "out.mp4", **elsewhere)
    assert clips.times(clip) == clips.times(tmp_path / "out.mp4")
    assert clips.packets(clip) == clips.packets(tmp_path / "out.mp4")


def test_serve(source, installed, elsewhere):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(installed / "segstream"), "serve", "--port", str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **elsewhere
    )
    try:
        health = json.loads(fetch(server, port, "/healthz"))
        assert (health["status"], health["model"]) == ("ok", "nano")
        page = fetch(server, port, "/")
        assert b"<html" in page
        assert b"main.js" in page
        assert fetch(server, port, "/main.js") == (source / "client_web/main.js").read_bytes()
        backgrounds = json.loads(fetch(server, port, "/backgrounds"))["backgrounds"]
        assert backgrounds
        assert fetch(server, port, f"/backgrounds/{backgrounds[0]}").startswith(b"\xff\xd8")
        server.send_signal(signal.SIGINT)
        _, printed = server.communicate(timeout=30)
    finally:
        server.kill()
    assert "Traceback" not in printed
    assert server.returncode in (0, 130)


def fetch(server, port, path):
    """The body, once the server answers."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert server.poll() is None, server.stderr.read()
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.2)
