"""The exported graphs against the torch modules they were made of."""

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import SIZE, centre, picture, truth

from stream.errors import ModelError
from stream.frames import Masks
from stream.prompts import Box, MaskPrompt, Point, Prompt
from stream.track import catalog
from stream.track.networks import nano
from stream.track.networks.base import Network
from stream.track.networks.onnx import OnnxNetwork, from_bfloat16, resize, to_bfloat16
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Tracker
from stream.training.checkpoint import nano_model
from stream.training.export import export

FRAMES = 30
PROMPTS: dict[int, list[list[Prompt]]] = {
    0: [[Point(1, *centre("dog", 0))], [Point(1, 40, 40, False)], [MaskPrompt(2, truth("dog", 0))]],
    5: [[Box(3, 600, 20, 800, 200)]],
    12: [[Point(1, *centre("dog", 12))]],
}


def track(network: Network, frames: int) -> list[Masks]:
    tracker, found = Tracker(network), []
    for index in range(frames):
        masks = tracker.step(picture("dog", index))
        for call in PROMPTS.get(index, []):
            masks = tracker.prompt(call)
        found.append(masks)
    return found


def assert_equal(ours: list[Masks], reference: list[Masks]) -> None:
    for a, b in zip(ours, reference, strict=True):
        assert a.object_ids == b.object_ids
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-2)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-2)
        np.testing.assert_allclose(a.ious, b.ious, atol=1e-2)
        inside, truly = a.logits > 0, b.logits > 0
        if truly.any():
            assert (inside & truly).sum() / (inside | truly).sum() >= 0.99


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of what two maps of logits call inside."""
    either = np.count_nonzero((a > 0) | (b > 0))
    return float(np.count_nonzero((a > 0) & (b > 0)) / either) if either else 1.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch calls its own exporter deprecated
def test_exact_graphs_equal_the_torch_model_and_the_embedded_ones_nearly(tmp_path: Path) -> None:
    reference = track(Sam2Network(nano_model()), FRAMES)
    assert reference[-1].logits.max() > 5
    export(nano_model(), tmp_path, "test", exact=True)
    assert_equal(track(OnnxNetwork(tmp_path, 2), FRAMES), reference)
    embedded = track(catalog.load("nano"), FRAMES)
    for id in (0, 1):
        pairs = zip(embedded, reference, strict=True)
        overlaps = [overlap(ours.logits[id], theirs.logits[id]) for ours, theirs in pairs]
        assert np.mean(overlaps) >= 0.96


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch calls its own exporter deprecated
def test_an_export_equals_its_model_whatever_its_options(tmp_path: Path) -> None:
    """Binarised prompts and the fallback of unstable masks, as SAM 2.1 is published with."""
    model = nano.build(
        SIZE,
        binarize_mask_from_pts_for_mem_enc=True,
        sam_mask_decoder_extra_args={
            "dynamic_multimask_via_stability": True,
            "dynamic_multimask_stability_delta": 0.05,
            "dynamic_multimask_stability_thresh": 0.98,
        },
    )
    model.load_state_dict(nano_model().state_dict())
    export(model, tmp_path, "test", exact=True)
    assert_equal(track(OnnxNetwork(tmp_path, 2), 8), track(Sam2Network(model), 8))


@pytest.mark.parametrize(("threads", "others"), [(2, 1), (2, 2), (4, 2)])
def test_an_object_is_the_same_alone_and_beside_others(threads: int, others: int) -> None:
    """Alone it runs on all threads, beside others on one: to the last bit the same."""
    network = OnnxNetwork(catalog.assets(), threads)
    alone, beside = Tracker(network), Tracker(network)
    first = MaskPrompt(1, truth("dog", 0))
    more = [MaskPrompt(2 + i, np.roll(first.mask, 50 * (i + 1), axis=1)) for i in range(others)]
    alone.step(picture("dog", 0), [first])
    beside.step(picture("dog", 0), [first, *more])
    for index in range(1, 5):
        lone = alone.step(picture("dog", index))
        among = beside.step(picture("dog", index))
        assert lone.logits[0].max() > 5
        np.testing.assert_array_equal(among.logits[0], lone.logits[0])
        np.testing.assert_array_equal(among.scores[0], lone.scores[0])


def test_a_picture_is_encoded_the_same_alone_and_beside_others() -> None:
    network = OnnxNetwork(catalog.assets(), threads=2)
    pictures = [picture("dog", index).rgb for index in range(3)]
    beside = network.encode_images(pictures)
    for rgb, features in zip(pictures, beside, strict=True):
        (alone,) = network.encode_images([rgb])
        for name in ("high", "middle", "top", "state", "queries"):
            np.testing.assert_array_equal(getattr(features, name), getattr(alone, name))


def test_bfloat16_rounds_as_torch_does() -> None:
    values = np.random.default_rng(0).normal(size=4096).astype(np.float32) * 100
    values[:4] = (0.0, -0.0, 1.00390625, 1.01171875)
    expected = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(values)), expected)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (64, 64), (700, 300)])
def test_resize_is_torchs_antialiased_one(height: int, width: int) -> None:
    source = np.random.default_rng(1).normal(size=(480, 854)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(source)[None, None], (height, width), mode="bilinear", antialias=True
    )[0, 0].numpy()
    # torch computes the weights in float32
    np.testing.assert_allclose(resize(source, height, width), expected, atol=2e-4)


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in"):
        OnnxNetwork(tmp_path, 1)


def test_a_model_of_another_format_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ModelError, match=r"has format 99.*export"):
        OnnxNetwork(tmp_path, 1)


def test_a_broken_graph_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text((catalog.assets() / "manifest.json").read_text())
    (tmp_path / "encode_image.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="encode_image"):
        OnnxNetwork(tmp_path, 1)
