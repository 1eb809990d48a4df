"""The command `segstream models`: which models there are, and their weights in the cache."""

import json
import sys
from collections.abc import Sequence

from stream.errors import ModelError
from stream.track import catalog, weights
from stream.track.catalog import MODELS

MANIFEST = "manifest.json"


def table() -> str:
    """All models: input sizes, weights, what they need."""
    rows = [("NAME", "INPUT SIZES", "SIZE", "NEEDS", "WEIGHTS")]
    for name, model in MODELS.items():
        sizes = ", ".join(map(str, model.sizes))
        if (checkpoint := model.checkpoint) is None:
            rows.append((name, sizes, _megabytes(_embedded_bytes()), "-", "in the program"))
            continue
        where = str(checkpoint.path) if checkpoint.path.exists() else "not downloaded"
        rows.append((name, sizes, _megabytes(checkpoint.size), _needs(), where))
    return (
        f"{_aligned(rows)}\n\n"
        "The first input size is the default; NAME@SIZE takes another one.\n"
        f"Downloaded weights are kept in {weights.cache_directory()}."
    )


def pull(name: str) -> str:
    """Download a model's weights, unless they are there and whole. Raises ModelError."""
    family, _ = catalog.parse(name)
    checkpoint = MODELS[family].checkpoint
    if checkpoint is None:
        return f"{family} is in the program; there is nothing to download"
    if checkpoint.path.exists():
        try:
            weights.check(checkpoint)
        except ModelError as error:
            print(f"{error}; it is downloaded again", file=sys.stderr)
        else:
            return f"{family} is there already: {checkpoint.path}"
    return f"{family}: {weights.download(checkpoint)}"


def verify(names: Sequence[str] = ()) -> str:
    """Compare weights with the catalogue; all there are, or those of the models named.

    Returns a line for each. Raises ModelError that says how to mend what is damaged, or that
    a model which was named is not downloaded.
    """
    lines, damaged = [], []
    for family in [catalog.parse(name)[0] for name in names] or MODELS:
        try:
            lines.append(f"{family}: {_verify(family, wanted=bool(names))}")
        except ModelError as error:
            damaged.append(f"{family}: {error}")
    if damaged:
        raise ModelError("\n".join([*damaged, *lines]))
    return "\n".join(lines)


def _verify(family: str, wanted: bool) -> str:
    checkpoint = MODELS[family].checkpoint
    if checkpoint is None:
        return f"whole ({_verify_embedded()} files in the program)"
    mend = f"segstream models pull {family}"
    if not checkpoint.path.exists():
        if wanted:
            raise ModelError(f"not downloaded; get it with: {mend}")
        return "not downloaded"
    try:
        weights.check(checkpoint)
    except ModelError as error:
        raise ModelError(f"{error}; mend it with: {mend}") from error
    return f"whole ({checkpoint.path})"


def _verify_embedded() -> int:
    """Compare the graphs with what their manifest says of them; returns how many there are."""
    folder = catalog.assets()
    mend = "install segstream again: pip install --force-reinstall --no-deps segstream"
    try:
        hashes: dict[str, str] = json.loads((folder / MANIFEST).read_text())["sha256"]
        for file, wanted in hashes.items():
            if weights.sha256(folder / file) != wanted:
                raise ModelError(f"{folder / file} is damaged")
    except (OSError, ValueError, KeyError, ModelError) as error:
        reason = error if isinstance(error, ModelError) else f"cannot read {folder / MANIFEST}"
        raise ModelError(f"{reason}; {mend}") from error
    return len(hashes)


def _embedded_bytes() -> int:
    return sum(file.stat().st_size for file in catalog.assets().iterdir())


def _needs() -> str:
    return "segstream[sam2]" + ("" if catalog.has_extra() else " (not installed)")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
