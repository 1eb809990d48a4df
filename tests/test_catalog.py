"""Names of models, their weights, and what is said when one cannot be had."""

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import SIZE
from sam2.modeling.sam2_base import SAM2Base

from stream.errors import ModelError
from stream.frames import Image
from stream.prompts import Point
from stream.track import catalog, weights
from stream.track.networks import sam2, sam21
from stream.track.networks.base import Network
from stream.track.tracker import Tracker, step_together

TINY = "sam2.1-tiny"


@pytest.fixture(scope="module")
def tiny() -> SAM2Base:
    return catalog.sam21_model(TINY, 256, seed=0)


@pytest.fixture(scope="module")
def checkpoint(tiny: SAM2Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save({"model": tiny.state_dict()}, path)
    return path


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test may use what this machine has in its cache; and torch's threads stay as they are."""
    monkeypatch.setenv("SEGSTREAM_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_embedded_model_needs_no_torch() -> None:
    code = (
        "import sys; from stream.track.catalog import load, prepare; "
        "from stream.track.tracker import Tracker; prepare('nano'); Tracker(load()); "
        "sys.exit('torch' in sys.modules or 'sam2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sam3", "there are nano, sam2.1-tiny"),
        ("sam2.1-tiny@300", "wanted one of 1024, 512, 256"),
        ("sam2.1-tiny@", "wanted one of 1024, 512, 256"),
        ("nano@512", f"wanted one of {SIZE}"),
        ("", "no model"),
    ],
)
def test_a_name_that_does_not_exist_lists_those_that_do(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        catalog.load(name)
    with pytest.raises(ModelError, match=says):
        catalog.prepare(name)


def test_published_checkpoints_are_pinned() -> None:
    full = {name: model.checkpoint for name, model in catalog.MODELS.items() if model.checkpoint}
    assert len(full) == 4
    assert len({pinned.url for pinned in full.values()}) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", pinned.sha256) for pinned in full.values())
    sizes = [pinned.size for pinned in full.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("step", [catalog.load, catalog.prepare])
def test_a_full_model_without_torch_says_what_to_install(monkeypatch, step) -> None:
    monkeypatch.setattr(catalog, "has_extra", lambda: False)
    with pytest.raises(ModelError, match=r"segstream\[sam2\]"):
        step(TINY)


def test_without_internet_the_error_says_what_to_put_where(monkeypatch, tmp_path: Path) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(weights.urllib.request, "urlopen", offline)
    where = tmp_path / "cache" / "sam2.1_hiera_tiny.pt"
    wanted = f"https://.*/sam2.1_hiera_tiny.pt: Name or service.* put it at {where}"
    with pytest.raises(ModelError, match=wanted):
        catalog.load(TINY)


def test_a_checkpoint_of_ones_own(checkpoint: Path) -> None:
    network = catalog.load(f"{TINY}@256", threads=1, weights=checkpoint)
    assert network.spec.image_size == 256
    assert min(_areas(network)) > 0


def _areas(network: Network) -> list[int]:
    """Of two objects in one stream and one in another, on each frame."""
    rgb = np.random.default_rng(0).integers(0, 255, (5, 256, 256, 3), np.uint8)
    one, other = Tracker(network), Tracker(network)
    areas = []
    for i, picture in enumerate(rgb):
        image = Image(picture, 256, 256, i)
        step_together([one, other], [image, image])
        if i == 0:
            one.prompt([Point(1, 128, 128), Point(2, 30, 200)])
            other.prompt([Point(1, 60, 60)])
        for logits in (*one.masks().logits, *other.masks().logits):
            assert np.isfinite(logits).all()
            areas.append(int((logits > 0).sum()))
    return areas


@pytest.mark.slow
def test_half_and_compiled_as_on_cuda(checkpoint: Path, monkeypatch) -> None:
    """What CUDA runs, on a CPU: in batches, but without code generation, which takes minutes, and
    with one of the attention's four layers, which are alike."""

    def shallow(*given: Any, **more: Any) -> SAM2Base:
        model = whole(*given, **more)
        model.memory_attention.layers = model.memory_attention.layers[:1]
        return model

    whole = catalog.sam21_model
    monkeypatch.setattr(catalog, "sam21_model", shallow)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    monkeypatch.setattr(sam2, "Sam2Network", partial(sam2.Sam2Network, batched=True))
    name = f"{TINY}@256"
    plain = _areas(catalog.load(name, threads=1, weights=checkpoint))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's, about modules that are not ours
        fast = catalog.load(name, threads=1, weights=checkpoint, half=True, compile=True)
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert graphs >= 2
        assert _areas(fast) == pytest.approx(plain, rel=0.1)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    torch._dynamo.reset()


def test_cuda_where_there_is_none(checkpoint: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="finds no CUDA"):
        catalog.load(f"{TINY}@256", device="cuda", weights=checkpoint)
    with pytest.raises(ModelError, match="nano runs on the CPU"):
        catalog.load("nano", device="cuda")
    with pytest.raises(ModelError, match="there are auto, cpu, cuda"):
        catalog.load("nano", device="tpu")


def _without(state: dict, key: str) -> dict:
    return {name: tensor for name, tensor in state.items() if name != key}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda state: b"not a checkpoint", "is not a checkpoint of PyTorch"),
        (lambda state: b"", "is not a checkpoint of PyTorch"),
        (lambda state: [1, 2], "holds no weights"),
        (lambda state: {"model": {"epoch": 3}}, "holds no weights"),
        (
            lambda state: {"model": _without(state, "obj_ptr_tpos_proj.weight")},
            "not a checkpoint of sam2.1-tiny: it has no obj_ptr_tpos_proj.weight",
        ),
        (
            lambda state: {"model": {**state, "head.weight": torch.zeros(1)}},
            "not a checkpoint of sam2.1-tiny: that has no head.weight",
        ),
        (
            lambda state: {"model": {**state, "maskmem_tpos_enc": torch.zeros(7, 64)}},
            "maskmem_tpos_enc has shape 7 x 64, wanted 7 x 1 x 1 x 64",
        ),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tiny, tmp_path: Path, content, says) -> None:
    path = tmp_path / "given.pt"
    made = content(dict(tiny.state_dict()))
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        torch.save(made, path)
    with pytest.raises(ModelError, match=says) as caught:
        sam21.load_checkpoint(tiny, path, TINY)
    assert str(path) in str(caught.value)


def test_a_checkpoint_that_would_run_code_is_refused(tiny, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="not a checkpoint"):
        sam21.load_checkpoint(tiny, tmp_path / "evil.pt", TINY)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_there(tiny, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no file or folder .*gone\.pt"):
        catalog.load(TINY, weights=tmp_path / "gone.pt")
    with pytest.raises(ModelError, match="not a checkpoint of PyTorch"):
        sam21.load_checkpoint(tiny, tmp_path, TINY)
    with pytest.raises(ModelError, match="no model in"):
        catalog.load("nano", weights=tmp_path)


def test_nano_takes_a_folder_of_graphs() -> None:
    assert catalog.load("nano", weights=catalog.assets()).spec.image_size == SIZE
    assert catalog.load(f"nano@{SIZE}", weights=catalog.assets()).spec.image_size == SIZE


def test_what_can_be_loaded_here(tmp_path: Path) -> None:
    assert catalog.available() == ("nano",)
    assert catalog.available("sam2.1-small@512") == ("sam2.1-small@512", "nano")
    checkpoint = catalog.MODELS["sam2.1-tiny"].checkpoint
    assert checkpoint is not None
    checkpoint.path.parent.mkdir(parents=True)
    checkpoint.path.write_bytes(b"")
    assert catalog.available() == ("nano", "sam2.1-tiny")
    assert catalog.words("sam2.1-tiny") == ()
    assert "person" in catalog.words("nano")
    with pytest.raises(ModelError, match="no input size"):
        catalog.words("nano@100")
