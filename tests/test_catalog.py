"""Names of models, and what is said when one cannot be had."""

import builtins
import sys

import pytest

from stream.errors import ModelError
from stream.track import catalog


def test_the_embedded_model_needs_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from stream.track.catalog import load; from stream.track.tracker import "
        "Tracker; Tracker(load()); sys.exit('torch' in sys.modules or 'sam2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sam3", "there are nano, sam2.1-tiny"),
        ("sam2.1-tiny@300", "wanted one of 1024, 512, 256"),
        ("nano@512", "wanted no size"),
        ("", "no model"),
    ],
)
def test_a_name_that_does_not_exist_lists_those_that_do(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        catalog.load(name)


def test_a_full_model_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_sam2(name: str, *args: object, **kwargs: object) -> object:
        if name.split(".")[0] == "sam2":
            raise ImportError("No module named 'sam2'")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_sam2)
    with pytest.raises(ModelError, match=r"segstream\[sam2\]"):
        catalog.load("sam2.1-tiny")
