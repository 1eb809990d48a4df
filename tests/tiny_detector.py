"""A Grounding DINO of the real architecture, as small as it goes and with random weights."""

import json
from pathlib import Path

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "red", "ball", "zebra"]


def write(folder: Path) -> Path:
    """Save it as a folder like those of the hub; returns the folder."""
    from stream.track.detector import _hide_broken_torchvision

    _hide_broken_torchvision()
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        SwinConfig,
    )

    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4,
        out_indices=[2, 3, 4],
    )  # fmt: skip
    text = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
    )  # fmt: skip
    configuration = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, num_queries=12, encoder_layers=1,
        decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_text_len=16,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    GroundingDinoForObjectDetection(configuration).save_pretrained(folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(VOCABULARY) + "\n")
    BertTokenizerFast(vocab_file=str(vocabulary)).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "grounding-dino"
    return folder
