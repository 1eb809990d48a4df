"""The systemd unit, as systemd reads it, and the Dockerfile, as far as it can be read without a
daemon that builds it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_wheel import PARTS

from stream import cli
from stream.settings import Settings, keys, variable

ROOT = Path(__file__).parents[1]

UNIT = ROOT / "packaging" / "segstream.service"

VARIABLES = {variable(found.name) for found, _ in keys()} | {"SEGSTREAM_CACHE", "SEGSTREAM_CONFIG"}

MOST_EXPOSED = "2.5"
"""Of systemd's scale to 10: what is left are the network, GPUs and memory that may be executed."""


def systemd_analyze(*arguments: object) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.fail("no systemd-analyze found; on Debian and Ubuntu: apt-get install systemd")
    command = ["systemd-analyze", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """It looks whether the program is there, so another stands in its place."""
    text = UNIT.read_text()
    assert "/opt/segstream/bin/segstream serve" in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/opt/segstream/bin/segstream", sys.executable))
    assert systemd_analyze("verify", unit) == ""
    unit.write_text(text.replace("KillMode", "KilMode").replace("/opt/segstream/bin", "/none"))
    with pytest.raises(AssertionError, match="not executable"):
        systemd_analyze("verify", unit)


def test_the_unit_is_shut_in() -> None:
    scale = round(float(MOST_EXPOSED) * 10)
    assert "OK" in systemd_analyze("security", "--offline=true", f"--threshold={scale}", UNIT)


def test_the_unit_waits_for_the_drain() -> None:
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert int(seconds) > Settings().drain_seconds + 15
    named = set(re.findall(r"SEGSTREAM_[A-Z_]+", UNIT.read_text()))
    assert named <= VARIABLES | {"SEGSTREAM_"}, named - VARIABLES


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, in order: what, and with which arguments."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined]


def of(name: str) -> list[str]:
    return [arguments for found, arguments in instructions() if found == name]


def test_the_image_gets_what_the_package_is_made_of() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # all, but what is named
    assert {line[1:] for line in ignored if line.startswith("!")} == set(PARTS)
    assert all((ROOT / part).exists() for part in PARTS)
    first, second = of("COPY")
    assert first == ". ."
    # From the first stage to the second, the environment that is made in it, at the same place.
    flag, source, target = second.split()
    stages = [arguments.split() for arguments in of("FROM")]
    assert flag == f"--from={stages[0][-1]}"
    assert source == target
    assert f"python -m venv {source}" in of("RUN")[0]
    assert f'PATH="{source}/bin:$PATH"' in of("ENV")[0]
    assert stages[0][0] == stages[1][0]  # an environment works with the Python that made it only
    (version,) = re.findall(r"^python:3\.(\d+)-", stages[0][0])
    (least,) = re.findall(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert int(version) >= int(least)


def test_the_image_is_run_as_the_documents_say() -> None:
    environment = dict(re.findall(r"(SEGSTREAM_[A-Z_]+)=(\S+)", of("ENV")[0]))
    assert set(environment) <= VARIABLES
    Settings.from_environment(environment)
    home = of("WORKDIR")[-1]
    assert of("VOLUME") == [home]
    assert f"--home-dir {home}" in of("RUN")[1]
    kept = {value for value in environment.values() if value.startswith("/")}
    assert all(value.startswith(f"{home}/") for value in kept)
    assert of("EXPOSE") == [environment["SEGSTREAM_PORT"]]
    # It runs as nobody in particular, who must own what is written.
    names = [name for name, _ in instructions()]
    assert of("USER") == re.findall(r"--uid (\d+)", of("RUN")[1])
    assert names.index("USER") < names.index("VOLUME")
    assert json.loads(of("ENTRYPOINT")[0]) == ["segstream"]
    program, *arguments = json.loads(of("CMD")[0])
    assert cli._parser().parse_args([program, *arguments])
    check = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    assert "/healthz" in check[2]
