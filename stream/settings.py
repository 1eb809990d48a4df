"""What an operator can set; each is also the environment variable SEGSTREAM_<NAME>."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stream.errors import InputError
from stream.limits import MAX_BITRATE_SETTING

MAX_BITRATE = 6_000_000
"""Bits per second: 720p gains little from more."""


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
    max_bitrate: bits per second of a returned picture; viewers' networks lower it.
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
    max_bitrate: int = MAX_BITRATE

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """SEGSTREAM_HOST, _PORT, _MODEL, _THREADS, _HOSTS, _WEIGHTS, _DEVICE, _HALF, _COMPILE,
        _MIN_TRACKER_RATE, _MAX_BITRATE.

        Empty means unset; _HALF and _COMPILE are 0 or 1; _HOSTS is comma-separated. Raises
        InputError.
        """
        given = os.environ if environment is None else environment
        default = cls()
        port = _whole(given, "SEGSTREAM_PORT", 0, 65535)
        return cls(
            host=given.get("SEGSTREAM_HOST") or default.host,
            port=default.port if port is None else port,
            model=given.get("SEGSTREAM_MODEL") or default.model,
            threads=_whole(given, "SEGSTREAM_THREADS", 1, 1024),
            hosts=tuple(
                host.strip() for host in given.get("SEGSTREAM_HOSTS", "").split(",") if host.strip()
            ),
            weights=Path(weights) if (weights := given.get("SEGSTREAM_WEIGHTS")) else None,
            device=given.get("SEGSTREAM_DEVICE") or default.device,
            half=None if (half := _whole(given, "SEGSTREAM_HALF", 0, 1)) is None else bool(half),
            compile=bool(_whole(given, "SEGSTREAM_COMPILE", 0, 1)),
            min_tracker_rate=_decimal(
                given, "SEGSTREAM_MIN_TRACKER_RATE", 1000, default.min_tracker_rate
            ),
            max_bitrate=_whole(given, "SEGSTREAM_MAX_BITRATE", 300_000, MAX_BITRATE_SETTING)
            or default.max_bitrate,
        )


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
