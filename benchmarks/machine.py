"""The machine that a figure was measured on, and the form in which every benchmark answers."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

LIBRARIES = ("av", "aiortc", "numpy", "opencv-python-headless", "onnxruntime", "torch")
"""Those that decide how fast and how exact a figure is."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the two options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object, last line")
    options.add_argument("--quick", action="store_true", help="a small sample, for a first look")
    return options


def describe() -> dict[str, Any]:
    """Hardware, system, versions and commit; `load` is the load average of the last minute.

    `cores` are those this process may use; a library that is not installed is None, and so is
    what the system does not tell.
    """
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "gpu": _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
        "load": round(os.getloadavg()[0], 2),
        "os": _os(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def print_json(results: dict[str, Any]) -> None:
    """Print `results` and the machine as one line of JSON; call it last.

    Raises ValueError when a figure is not a number (nan or infinite): there is no JSON for it.
    """
    line = json.dumps({**results, "machine": describe()}, allow_nan=False)
    sys.stderr.flush()
    print(line, flush=True)


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _os() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit that was measured; `+` when the working tree differs from it."""
    commit = _output("git", "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return commit + ("+" if _output("git", "status", "--porcelain") else "")


def _output(*command: str) -> str | None:
    """What a command of the system prints; None when there is none, or it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=10, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()
