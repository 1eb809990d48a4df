"""What the benchmarks share, and the accuracy benchmark on real clips."""

import json
import os
import re
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import accuracy, camera_soak, davis, footprint, jobs, machine, sheet, soak
from stream.prompts import check
from tests import drawn_clips

ROOT = Path(__file__).resolve().parents[1]


def test_machine_names_what_a_figure_depends_on() -> None:
    described = machine.describe()
    assert described["cpu"]
    assert described["cores"] >= 1
    assert described["memory_gib"] > 0
    assert described["python"] == sys.version.split()[0]
    assert described["versions"]["numpy"] == np.__version__
    assert set(described["versions"]) == set(machine.LIBRARIES)


def test_print_json_is_one_line_with_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    machine.print_json({"J": 0.5})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    printed = json.loads(lines[0])
    assert printed["J"] == 0.5
    assert printed["machine"].keys() == machine.describe().keys()
    with pytest.raises(ValueError, match="JSON"):
        machine.print_json({"J": float("nan")})


def run_by_make() -> list[str]:
    """The benchmarks that `make bench` runs; asked of make, which runs nothing."""
    command = ["make", "--dry-run", "bench"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    [names] = re.findall(r"for name in (.*?); do", done.stdout)
    return list(names.split())


def test_make_bench_runs_all_that_the_docs_name() -> None:
    text = (ROOT / "docs" / "development.md").read_text()
    _, _, section = text.partition("## Benchmarks")
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(run_by_make())


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
@pytest.mark.parametrize("name", run_by_make())
def test_what_make_bench_runs_has_its_options(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that does not know an option ends with an error instead of a figure."""
    monkeypatch.setattr(sys, "argv", [name, "--json", "--quick", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert {"--json", "--quick"} <= set(re.findall(r"--\w+", capsys.readouterr().out))


def test_click_is_deep_inside_and_box_is_tight() -> None:
    mask = np.zeros((90, 120), bool)
    mask[20:61, 30:101] = True  # a plate, and a thin handle that must not be clicked
    mask[40:42, 101:120] = True
    point = accuracy.click(mask)
    assert 40 <= point.y <= 41
    assert 50 <= point.x <= 81
    box = accuracy.box(mask)
    assert (box.x0, box.y0, box.x1, box.y1) == (30, 20, 120, 61)
    for prompt in (point, box, accuracy.mask_prompt(mask)):
        check(prompt, width=120, height=90)


def test_click_on_a_mask_that_fills_the_picture_is_in_the_middle() -> None:
    point = accuracy.click(np.ones((91, 121), bool))
    assert abs(point.y - 45.5) <= 1
    assert 45 <= point.x <= 76


def test_image_is_rgb_at_the_networks_size_and_remembers_the_source() -> None:
    rgb = np.zeros((48, 80, 3), np.uint8)
    rgb[:, 40:] = (250, 120, 10)
    seen = accuracy.image(rgb, index=7, size=32)
    assert (seen.rgb.shape, seen.width, seen.height, seen.index) == ((32, 32, 3), 80, 48, 7)
    assert np.abs(seen.rgb[16, 28].astype(int) - (250, 120, 10)).max() < 4
    assert seen.rgb[16, 4].max() < 4


def test_full_size_keeps_the_logits_place() -> None:
    """The left half of the logits is the left half of the picture, to the pixel."""
    logits = np.full((64, 64), -4.0, np.float32)
    logits[:, :32] = 4.0
    found = accuracy.full_size(logits, width=854, height=480)
    assert found.shape == (480, 854)
    assert found[:, :427].all()
    assert not found[:, 427:].any()


def test_sheet_shows_what_was_found(tmp_path: Path) -> None:
    rgb = np.full((480, 854, 3), 60, np.uint8)
    found, truth = np.zeros((2, 480, 854), bool)
    found[100:300, 100:400] = True
    truth[200:400, 500:800] = True
    tile = sheet.tile(rgb, found, truth, "clip 0")
    width, height = sheet.TILE
    assert tile.shape == (height, width, 3)
    assert tile[100, 125, 0] > tile[100, 125, 1] + 30  # inside: tinted
    assert (tile[220, 200] == 60).all()  # outside: untouched
    assert (tile[150, 325] == 60).all()  # the truth has an outline, no tint
    sheet.write(tmp_path / "sheet.png", [[tile] * sheet.COLUMNS] * 2)
    written = cv2.imread(str(tmp_path / "sheet.png"))
    assert written is not None
    assert written.shape == (2 * height, sheet.COLUMNS * width, 3)


def test_sheet_picks_the_first_and_the_last_frame() -> None:
    assert sheet.pick(50) == [0, 16, 33, 49]
    assert sheet.pick(20) == [0, 6, 13, 19]


@pytest.mark.parametrize("prompt", ["mask", "click", "box"])
def test_accuracy_follows_the_swan(prompt: str, tmp_path: Path) -> None:
    picture = tmp_path / "sheet.png"
    done = _accuracy("--quick", "--clips", "blackswan", "--prompt", prompt, "--sheet", str(picture))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["prompt"] == prompt
    assert result["model"] == "nano"
    assert result["frames"] == accuracy.QUICK_FRAMES
    assert list(result["clips"]) == ["blackswan"]
    assert result["JF"] == pytest.approx((result["J"] + result["F"]) / 2, abs=1e-3)
    assert result["J"] > 0.6
    assert result["steps_per_s"] > 0
    assert picture.stat().st_size > 10_000


@pytest.mark.slow
def test_soak_looks_at_both_processes_and_nothing_goes_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soak, "EDIT", 2)
    monkeypatch.setattr(soak, "LOOK", 8)
    monkeypatch.setattr(soak, "RENEW", 7)
    found = soak.soak(5 * soak.LOOK)
    assert found["errors"] == []
    assert found["restarts"] == 0
    for process in ("server", "worker"):
        assert found[process]["first_mib"] > 20
    assert found["files"][0] == found["files"][1]
    assert found["threads"][0] == found["threads"][1]


def test_camera_soak_tells_what_has_grown() -> None:
    before = {"server": {"files": 20, "threads": 9, "mib": 200.0, "tasks": 10}}
    assert camera_soak.grown(before, before) == []
    small = {"server": {"files": 22, "threads": 10, "mib": 210.0, "tasks": 9}}
    assert camera_soak.grown(before, small) == []
    large = {"server": {"files": 23, "threads": 12, "mib": 220.0, "tasks": 11}}
    assert camera_soak.grown(before, large) == [
        *("server files", "server threads", "server mib", "server tasks")
    ]


def test_camera_soak_counts_what_a_process_holds() -> None:
    before = camera_soak.held([os.getpid()])
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    with open(os.devnull):
        thread.start()
        after = camera_soak.held([os.getpid()])
    release.set()
    thread.join()
    assert after.files == before.files + 1
    assert after.threads == before.threads + 1
    assert after.mib > 20
    assert camera_soak.held([os.getpid()] * 2).files == 2 * before.files


def test_footprint_counts_what_is_required_and_no_extras() -> None:
    required = footprint.required("segstream")
    assert {"segstream", "numpy", "aiohttp", "yarl"} <= required  # the last is aiohttp's
    assert not {"torch", "pytest"} & required
    assert footprint.on_disk("numpy") > 2**20
    assert footprint.package() > 2**20


def test_footprint_starts_the_server_and_looks_at_both_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(footprint, "SETTLED", 0.0)
    taken, server, worker = footprint.start()
    assert 0 < taken < footprint.START_TIMEOUT
    assert server > 20
    assert worker > 20


def test_accuracy_says_what_is_wrong_with_the_data() -> None:
    done = _accuracy("--clips", "unicorn")
    assert done.returncode == 2
    assert "no clip unicorn" in done.stderr
    assert done.stdout == ""


def _accuracy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.accuracy",
            "--json",
            "--data",
            str(davis.DATA),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


async def test_the_benchmark_of_jobs_starts_them_as_the_server_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was out of step with what their process asks for once, and nobody saw it."""
    monkeypatch.setattr(jobs, "JOB_NICE", 0)  # whatever else the machine does
    assert await jobs.x_realtime(drawn_clips.make(tmp_path / "clip.mp4"), tmp_path, 1) > 0
