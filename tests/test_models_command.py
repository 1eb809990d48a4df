"""The command `segstream models`, and the options that choose a network."""

import hashlib
import shutil
from pathlib import Path

import pytest

import stream.server.app
from stream import track_command
from stream.cli import main
from stream.settings import Settings
from stream.track import catalog, weights
from stream.track.catalog import MODELS, Model
from stream.track.weights import Checkpoint
from tests import drawn_clips

CONTENT = b"weights" * 1000
FAMILY = "sam2.1-tiny"


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the weights of FAMILY belong; they are small ones here."""
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path / "cache"))
    digest = hashlib.sha256(CONTENT).hexdigest()
    small = Checkpoint("http://127.0.0.1:9/tiny.pt", digest, len(CONTENT))
    monkeypatch.setitem(MODELS, FAMILY, Model((1024, 512), "sam2.1_hiera_t", small))
    return tmp_path / "cache" / "tiny.pt"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["models", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_tells_what_is_there_and_what_it_needs(capsys, cached, monkeypatch) -> None:
    code, before, _ = run(capsys, "list")
    assert code == 0
    assert all(name in before for name in catalog.NAMES)
    put(cached, CONTENT)
    monkeypatch.setattr(catalog, "has_extra", lambda: False)
    lines = run(capsys, "list")[1].splitlines()
    nano, tiny, small = lines[1:4]
    assert nano.split()[:2] == ["nano", str(MODELS["nano"].sizes[0])]
    assert nano.endswith("in the program")
    assert tiny.startswith(f"{FAMILY}  ")
    assert "1024, 512" in tiny
    assert "segstream[sam2] (not installed)" in tiny
    assert tiny.endswith(str(cached))
    assert small.endswith("not downloaded")
    assert lines[-1].endswith(f"{cached.parent}.")


def test_pull_downloads_once(capsys, cached, monkeypatch) -> None:
    def receive(checkpoint: Checkpoint, part: Path) -> None:
        part.write_bytes(CONTENT)

    monkeypatch.setattr(weights, "_receive", receive)
    code, out, _ = run(capsys, "pull", f"{FAMILY}@512")
    assert (code, out) == (0, f"{FAMILY}: {cached}\n")
    assert cached.read_bytes() == CONTENT
    assert "there already" in run(capsys, "pull", FAMILY)[1]
    cached.write_bytes(CONTENT[:-1] + b"x")
    code, out, err = run(capsys, "pull", FAMILY)
    assert (code, out) == (0, f"{FAMILY}: {cached}\n")
    assert "damaged" in err
    assert cached.read_bytes() == CONTENT


def test_nano_need_not_be_pulled(capsys) -> None:
    code, out, _ = run(capsys, "pull", "nano")
    assert code == 0
    assert "in the program" in out


def test_what_cannot_be_pulled_is_one_line(capsys, cached) -> None:
    code, out, err = run(capsys, "pull", FAMILY)
    assert (code, out) == (2, "")
    assert err.startswith("segstream: cannot download http://127.0.0.1:9/tiny.pt")
    assert err.endswith(f"put it at {cached}\n")
    assert run(capsys, "pull", "sam3")[2].startswith("segstream: no model 'sam3'")


def test_verify_finds_everything_whole(capsys, cached) -> None:
    put(cached, CONTENT)
    code, out, _ = run(capsys, "verify")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == len(MODELS)
    assert lines[0] == "nano: whole (4 files in the program)"
    assert lines[1] == f"{FAMILY}: whole ({cached})"
    assert lines[2] == "sam2.1-small: not downloaded"
    assert run(capsys, "verify", FAMILY)[1] == lines[1] + "\n"


def test_verify_says_how_to_mend_what_is_damaged(capsys, cached) -> None:
    put(cached, CONTENT[:-1] + b"x")
    code, out, err = run(capsys, "verify")
    assert (code, out) == (2, "")
    first, *others = err.splitlines()
    assert f"{cached} is damaged" in first
    assert first.endswith(f"mend it with: segstream models pull {FAMILY}")
    assert others[0].startswith("nano: whole")


def test_verify_of_what_is_not_there(capsys, cached) -> None:
    code, _, err = run(capsys, "verify", FAMILY)
    assert code == 2
    assert err.startswith(f"segstream: {FAMILY}: not downloaded")
    assert err.endswith(f"get it with: segstream models pull {FAMILY}\n")


@pytest.mark.parametrize("damage", ["changed", "gone", "no manifest"])
def test_verify_of_a_damaged_program(capsys, cached, monkeypatch, tmp_path, damage) -> None:
    folder = tmp_path / "nano"
    shutil.copytree(catalog.assets(), folder)
    monkeypatch.setattr(catalog, "assets", lambda: folder)
    assert run(capsys, "verify", "nano")[0] == 0
    file = folder / ("manifest.json" if damage == "no manifest" else "decode.onnx")
    if damage == "changed":
        content = bytearray(file.read_bytes())
        content[1000] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    code, _, err = run(capsys, "verify", "nano")
    assert code == 2
    assert str(file) in err
    assert "pip install --force-reinstall" in err


def test_models_alone_says_what_is_wanted(capsys) -> None:
    code, _, err = run(capsys)
    assert code == 2
    assert "segstream models --help" in err


CHOICE = ("--model", "sam2.1-small@512", "--weights", "w.pt", "--device", "cpu", "--no-half")
WANTED = Settings(
    model="sam2.1-small@512", weights=Path("w.pt"), device="cpu", half=False, compile=True
)


def test_serve_and_track_take_the_same_network_options(monkeypatch) -> None:
    given = []
    monkeypatch.setattr(stream.server.app, "run", given.append)
    monkeypatch.setattr(track_command, "track", lambda arguments, settings: given.append(settings))
    assert main(["serve", *CHOICE, "--compile"]) == 0
    assert main(["track", "in.mp4", "-o", "out.mp4", *CHOICE, "--compile"]) == 0
    assert given == [WANTED, WANTED]


def test_the_network_can_be_chosen_by_the_environment() -> None:
    given = {
        "SEGSTREAM_MODEL": "sam2.1-small@512",
        "SEGSTREAM_WEIGHTS": "w.pt",
        "SEGSTREAM_DEVICE": "cpu",
        "SEGSTREAM_HALF": "0",
        "SEGSTREAM_COMPILE": "1",
    }
    assert Settings.from_environment(given) == WANTED
    assert Settings.from_environment(dict.fromkeys(given, "")) == Settings()


def test_weights_that_cannot_be_used_are_one_line(capsys, tmp_path: Path) -> None:
    clip = drawn_clips.make(tmp_path / "in.mp4", count=4)
    arguments = ["track", str(clip), "--point", "60,60", "-o", str(tmp_path / "o.mp4")]
    assert main([*arguments, "--weights", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"segstream: no model in {tmp_path}: ")
    assert not (tmp_path / "o.mp4").exists()
