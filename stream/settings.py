"""What an operator can set; each is also the environment variable SEGSTREAM_<NAME>."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stream.errors import InputError


@dataclass(frozen=True, slots=True)
class Settings:
    """host, port: where the server listens; by default only this machine can reach it.
    model: a name from the catalog.
    threads: CPU threads of the network; None lets it choose.
    hosts: names under which browsers may call a server that listens on loopback, when a reverse
    proxy stands before it.
    weights: instead of the catalog's: a checkpoint, or for nano a folder of graphs.
    device: "auto", "cpu" or "cuda". half: bfloat16 autocast of a full model; None: on CUDA only.
    compile: torch.compile of a full model.
    min_tracker_rate: masks a second that each session must get for another to be let in.
    data: folder of keys and jobs; None: the platform's place for a program's data.
    fetch_allow: hosts and networks (CIDR) that videos may be fetched from although private.
    jobs: whole videos worked on at once.
    keep_hours: hours after which a finished job's files are removed.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model: str = "nano"
    threads: int | None = None
    hosts: tuple[str, ...] = ()
    weights: Path | None = None
    device: str = "auto"
    half: bool | None = None
    compile: bool = False
    min_tracker_rate: float = 5.0
    data: Path | None = None
    fetch_allow: tuple[str, ...] = ()
    jobs: int = 1
    keep_hours: float = 24.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """SEGSTREAM_HOST, _PORT, _MODEL, _THREADS, _HOSTS, _WEIGHTS, _DEVICE, _HALF, _COMPILE,
        _MIN_TRACKER_RATE, _DATA, _FETCH_ALLOW, _JOBS, _KEEP_HOURS.

        Empty means unset; _HALF and _COMPILE are 0 or 1; _HOSTS and _FETCH_ALLOW are
        comma-separated. Raises InputError.
        """
        given = os.environ if environment is None else environment
        default = cls()
        port = _whole(given, "SEGSTREAM_PORT", 0, 65535)
        return cls(
            host=given.get("SEGSTREAM_HOST") or default.host,
            port=default.port if port is None else port,
            model=given.get("SEGSTREAM_MODEL") or default.model,
            threads=_whole(given, "SEGSTREAM_THREADS", 1, 1024),
            hosts=_list(given, "SEGSTREAM_HOSTS"),
            weights=Path(weights) if (weights := given.get("SEGSTREAM_WEIGHTS")) else None,
            device=given.get("SEGSTREAM_DEVICE") or default.device,
            half=None if (half := _whole(given, "SEGSTREAM_HALF", 0, 1)) is None else bool(half),
            compile=bool(_whole(given, "SEGSTREAM_COMPILE", 0, 1)),
            min_tracker_rate=_decimal(
                given, "SEGSTREAM_MIN_TRACKER_RATE", 1000, default.min_tracker_rate
            ),
            data=Path(data) if (data := given.get("SEGSTREAM_DATA")) else None,
            fetch_allow=_list(given, "SEGSTREAM_FETCH_ALLOW"),
            jobs=_whole(given, "SEGSTREAM_JOBS", 1, 64) or default.jobs,
            keep_hours=_decimal(given, "SEGSTREAM_KEEP_HOURS", 24 * 366, default.keep_hours),
        )


def _list(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in given.get(name, "").split(",") if part.strip())


def _whole(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise InputError(f"{name} is {text!r}; wanted a whole number from {least} to {most}")
    return int(text)


def _decimal(given: Mapping[str, str], name: str, most: float, default: float) -> float:
    text = given.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) > most:
        raise InputError(f"{name} is {text!r}; wanted a number from 0 to {most:g}")
    return float(text)
