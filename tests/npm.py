"""Packages of npm for tests, each fetched once."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "artefacts" / "npm"


def fetch(name: str, version: str) -> Path:
    """A folder whose `node_modules` holds the package and what it needs."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.fail(f"no {tool} found; install it, on Debian and Ubuntu: apt-get install npm")
    folder = FOLDER / f"{name}-{version}"
    if not (folder / "node_modules" / name / "package.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", "."]
        subprocess.run([*command, f"{name}@{version}"], cwd=folder, check=True, timeout=120)
    return folder
