import os
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

import stream
import stream.server.app
from stream.cli import main
from stream.settings import Settings
from tests import drawn_clips as clips

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "in.mp4", count=4, audio="aac")


def refused(capsys, *arguments):
    """The one line that a user's error leaves on stderr."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("segstream: ")
    return lines[0]


def test_track(tmp_path, clip, capsys):
    target = tmp_path / "out.mp4"
    assert main(["track", str(clip), "--point", "60,60", "-o", str(target)]) == 0
    assert clips.times(clip) == clips.times(target)
    assert clips.packets(clip) == clips.packets(target)
    report = capsys.readouterr().err.splitlines()
    assert len(report) == 1  # no progress bar where nobody looks
    assert re.search(
        r"out\.mp4: 160x120, 4 frames, 29\.9\d frames/s, 0\.13 s; took [\d.]+ s, [\d.]+ frames/s$",
        report[0],
    )
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_quiet(tmp_path, clip, capsys):
    arguments = ["track", str(clip), "--point", "60,60", "-o", str(tmp_path / "o.mkv"), "--quiet"]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")


def test_all_the_ways_to_point(tmp_path, clip):
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 40:80] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    arguments = ["track", clip, "--mask", f"3:{tmp_path}/mask.png@0.03", "--box", "2:40,40,80,80"]
    arguments += ["--point", "60,60", "--negative", "140,20@0.05", "-o", tmp_path / "o.webm", "-q"]
    arguments += ["--effect", "colour", "--colour", "#ff0000", "--crf", "30"]
    assert main([str(argument) for argument in arguments]) == 0
    assert len(clips.pictures(tmp_path / "o.webm")) == 4


@pytest.mark.parametrize("arguments", [("--text", "a person"), ("--effect", "blur")])
def test_a_word_needs_no_coordinates(tmp_path, clip, arguments):
    target = tmp_path / "o.mp4"
    assert main(["track", str(clip), *arguments, "-o", str(target), "-q"]) == 0
    assert len(clips.pictures(target)) == 4


def test_effects_are_stacked_each_with_its_own_fields(tmp_path, clip):
    target = tmp_path / "o.mp4"
    effects = ("--effect", "colour:colour=#0000ff:target=object", "--effect", "desaturate")
    options = ("--strength", "1", "--target", "background", "--effect", "none:target=both")
    arguments = ["track", str(clip), "--box", "40,40,80,80", *effects, *options]
    assert main([*arguments, "-o", str(target), "-q", "--crf", "5"]) == 0
    before, after = (clips.pictures(path)[0].to_ndarray(format="rgb24") for path in (clip, target))
    assert np.ptp(before[100:, :15], axis=2).mean() > 25, "a dark red bar"
    assert np.ptp(after[100:, :15], axis=2).mean() < 10
    assert after[50:70, 50:70, 2].mean() > 200
    assert after[50:70, 50:70, :2].mean() < 60


@pytest.mark.parametrize("background", ["name", "file"])
def test_a_background_means_the_effect_picture(tmp_path, clip, background):
    name = "mountains"
    if background == "file":
        name = tmp_path / "red.png"
        cv2.imwrite(str(name), np.full((20, 30, 3), (0, 0, 255), np.uint8))
    target = tmp_path / "out.mp4"
    arguments = ["track", clip, "--box", "40,40,80,80", "--background", name, "-o", target, "-q"]
    assert main([str(argument) for argument in arguments]) == 0
    before, after = (clips.pictures(path)[0].to_ndarray(format="rgb24") for path in (clip, target))
    assert np.abs(before[:20].astype(int) - after[:20]).mean() > 20
    if background == "file":
        assert (after[:20].astype(int) - (255, 0, 0)).max() < 20


POINT = ("--point", "60,60")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to track"),
        (("--point", "160.5,60"), r"outside the picture.* 0\.\.160 .* 0\.\.120"),
        (("--point", "60"), "X,Y"),
        (("--point",), "--point"),
        (("--point", "-3,3"), "--point"),
        (("--box", "40,40,40,80"), "box"),
        (("--box", "0,0,9,9", "--box", "20,20,30,30"), "number the objects"),
        (("--negative", "5,5"), "first show what it is"),
        (("--text", "zeppelin"), "Known are: .*person"),
        (("--text", "@1"), "names nothing"),
        (("--text", "cat", "--text", "dog"), "number the objects"),
        ((*POINT, "--point", "2:60,60@99"), "99 s"),
        (("--mask", "none.png"), "none.png"),
        ((*POINT, "--effect", "sparkle"), "overlay"),
        ((*POINT, "--effect", "picture"), "background"),
        ((*POINT, "--effect", "blur:objects=cat"), "objects is 'cat'"),
        ((*POINT, "--effect", "blur", "--target", "sky"), "target"),
        ((*POINT, "--fit", "stretch"), "cover"),
        ((*POINT, "--position", "left"), "X,Y"),
        ((*POINT, *("--effect", "none") * 9), "at most 8"),
        ((*POINT, "--strength", "2"), "0 to 1"),
        ((*POINT, "--strength", "much"), "strength is 'much'"),
        ((*POINT, "--effect", "colour", "--colour", "green"), "#rrggbb"),
        ((*POINT, "--background", "moon"), "mountains"),
        ((*POINT, "--background", "{tmp}/no.mp4"), "no.mp4"),
        ((*POINT, "--model", "giant"), "nano"),
        ((*POINT, "--crf", "99"), "0 to 51"),
        ((*POINT, "--preset", "warp"), "--preset"),
        ((*POINT, "--unknown"), "--unknown"),
    ],
)
def test_arguments_that_make_no_sense(tmp_path, clip, capsys, arguments, message):
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    line = refused(capsys, "track", clip, *given, "-o", tmp_path / "out.mp4")
    assert re.search(message, line)
    assert os.listdir(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_text("text"), "no video"),
        (lambda path: clips.sound_only(path), "sound but no video"),
    ],
)
def test_inputs_that_are_no_video(tmp_path, capsys, make, message):
    path = tmp_path / "in.mp4"
    make(path)
    line = refused(capsys, "track", path, *POINT, "-o", tmp_path / "out.mp4")
    assert message in line
    assert "in.mp4" in line
    assert not (tmp_path / "out.mp4").exists()


def test_a_cut_off_input(tmp_path, capsys):
    whole = clips.make(tmp_path / "whole.mp4", count=60, options={"movflags": "faststart"})
    clips.cut(whole, tmp_path / "in.mp4", 0.5)
    line = refused(capsys, "track", tmp_path / "in.mp4", *POINT, "-o", tmp_path / "out.mp4")
    assert re.search(r"up to \d\.\d\d s \(\d+ pictures\)", line)
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "whole.mp4"]


def test_outputs_that_cannot_be_written(tmp_path, clip, capsys):
    (tmp_path / "there.mp4").write_bytes(b"old")
    for name, message in (
        ("out.xyz", "must end in"),
        ("none/out.mp4", "no folder"),
        (".", "must end in"),
        ("there.mp4", "--overwrite"),
        ("in.mp4", "input"),
    ):
        line = refused(capsys, "track", clip, *POINT, "-o", tmp_path / name)
        assert message in line
    line = refused(capsys, "track", clip, *POINT, "-o", clip, "--overwrite")
    assert "input" in line
    assert len(clips.pictures(clip)) == 4
    assert (tmp_path / "there.mp4").read_bytes() == b"old"


def test_overwrite(tmp_path, clip):
    (tmp_path / "out.mp4").write_bytes(b"old")
    assert main(["track", str(clip), *POINT, "-qyo", str(tmp_path / "out.mp4")]) == 0
    assert len(clips.pictures(tmp_path / "out.mp4")) == 4


@pytest.mark.parametrize("arguments", [(), ("dance",), ("serve", "--port", "x"), ("track",)])
def test_commands_that_do_not_exist(capsys, arguments):
    assert "--help" in refused(capsys, *arguments)


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "stream", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


@pytest.mark.parametrize("module", ["stream", "stream.cli"])
def test_version(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == f"segstream {stream.__version__}\n"
    assert done.returncode == 0


def test_help_imports_nothing_heavy():
    code = (
        "import sys, stream.cli\n"
        "try: stream.cli.main(['track', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'av', 'numpy', 'cv2', 'onnxruntime', 'aiohttp', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for example in ("2:40,60,200,300@0:12", "--background", "OBJECT", "examples:"):
        assert example in done.stdout


def test_track_does_not_import_torch(clip, tmp_path):
    code = (
        "import sys; from stream.cli import main\n"
        f"assert main(['track', {str(clip)!r}, '--point', '60,60', '-o', "
        f"{str(tmp_path / 'out.mp4')!r}]) == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("long") / "in.mp4", count=900, width=64, height=64)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_stopped_command_leaves_nothing_behind(tmp_path, long_clip, number, code):
    process = command("track", long_clip, *POINT, "-o", tmp_path / "out.mp4")
    try:
        wait_until(lambda: list(tmp_path.glob(".segstream-*")) or process.poll() is not None)
        time.sleep(0.3)
        process.send_signal(number)
        _, printed = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code, printed
    assert "Traceback" not in printed
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, name):
    clip = clips.beginning(clips.VIDEO / "webcam" / "walk.mkv", tmp_path / "in.mkv", 0.2)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "stream",
            "track",
            clip,
            *POINT,
            "--crf",
            "1",
            "-o",
            tmp_path / name,
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 2
    assert done.stderr == f"segstream: cannot write {tmp_path / name}: file too large\n"
    assert os.listdir(tmp_path) == ["in.mkv"]


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path, long_clip):
    process = command(
        "track", long_clip, *POINT, "-o", tmp_path / "out.mp4",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    try:
        wait_until(lambda: list(tmp_path.glob(".segstream-*")) or process.poll() is not None)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130


def test_a_terminal_shows_a_progress_bar(tmp_path, clip):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "stream", "track", clip, *POINT, "-o", tmp_path / "out.mp4"],
        stderr=theirs,
        cwd=ROOT,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    os.close(ours)
    assert process.wait(timeout=30) == 0
    assert b"4/4" in shown
    assert b"100%" in shown


def test_a_fault_of_the_program_is_exit_code_1(tmp_path, clip):
    code = (
        "import sys, stream.cli, stream.track_command as c\n"
        "def broken(*_): raise RuntimeError('a bug')\n"
        "c.track_file = broken\n"
        f"sys.exit(stream.cli.main(['track', {str(clip)!r}, '--point', '60,60', '-o', "
        f"{str(tmp_path / 'out.mp4')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_serve_takes_options_over_the_environment(monkeypatch):
    given = []
    monkeypatch.setattr(stream.server.app, "run", given.append)
    monkeypatch.setenv("SEGSTREAM_HOST", "0.0.0.0")
    monkeypatch.setenv("SEGSTREAM_PORT", "9999")
    assert main(["serve", "--port", "1234", "--model", "nano"]) == 0
    assert given == [Settings(host="0.0.0.0", port=1234, model="nano")]


def test_serve_refuses_what_cannot_be(capsys):
    assert "port" in refused(capsys, "serve", "--port", "70000")


def serve_fails(*arguments):
    """The last line that the server prints."""
    done = subprocess.run(
        [sys.executable, "-m", "stream", "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=90,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_serve_on_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = serve_fails("--port", taken.getsockname()[1])
    assert line.startswith("segstream: cannot listen on 127.0.0.1 port")


def test_serve_with_an_unknown_model():
    line = serve_fails("--port", 0, "--model", "giant")
    assert line.startswith("segstream: no model 'giant'")


def wait_until(condition, timeout=30):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
