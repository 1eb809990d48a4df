"""What an operator can set; each is also the environment variable SEGSTREAM_<NAME>."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stream.errors import InputError
from stream.limits import MAX_BITRATE_SETTING
from stream.network import IceServer, Network, ice_servers, public_address, udp_ports

T = TypeVar("T")

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
    token: what WHIP and WHEP clients must send as a bearer token; None lets everybody in.
    ice_servers, udp_ports, public_address: see stream.network.Network.
    cameras: the file of all cameras; None: `segstream serve` takes stream.cameras.default_path.
    camera_files: the API may add files of this machine as cameras.
    record: the folder for recordings; None: there are none.
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
    token: str | None = field(default=None, repr=False)
    ice_servers: tuple[IceServer, ...] = ()
    udp_ports: range | None = None
    public_address: str | None = None
    cameras: Path | None = None
    camera_files: bool = False
    record: Path | None = None
    max_bitrate: int = MAX_BITRATE

    @property
    def network(self) -> Network:
        return Network(self.ice_servers, self.udp_ports, self.public_address)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """SEGSTREAM_HOST, _PORT, _MODEL, _THREADS, _HOSTS, _WEIGHTS, _DEVICE, _HALF, _COMPILE,
        _MIN_TRACKER_RATE, _TOKEN, _ICE_SERVERS, _UDP_PORTS, _PUBLIC_ADDRESS, _CAMERAS,
        _CAMERA_FILES, _RECORD, _MAX_BITRATE.

        Empty means unset; _HALF and _COMPILE are 0 or 1; _HOSTS and _ICE_SERVERS are
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
            token=_token(given),
            ice_servers=_named(given, "SEGSTREAM_ICE_SERVERS", ice_servers) or (),
            udp_ports=_named(given, "SEGSTREAM_UDP_PORTS", udp_ports),
            public_address=_named(given, "SEGSTREAM_PUBLIC_ADDRESS", public_address),
            cameras=Path(cameras) if (cameras := given.get("SEGSTREAM_CAMERAS")) else None,
            camera_files=bool(_whole(given, "SEGSTREAM_CAMERA_FILES", 0, 1)),
            record=Path(record) if (record := given.get("SEGSTREAM_RECORD")) else None,
            max_bitrate=_whole(given, "SEGSTREAM_MAX_BITRATE", 300_000, MAX_BITRATE_SETTING)
            or default.max_bitrate,
        )


def _token(given: Mapping[str, str]) -> str | None:
    """RFC 6750 section 2.1: only these characters can stand in the header."""
    text = given.get("SEGSTREAM_TOKEN")
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/-]{8,512}=*", text):
        raise InputError(
            f"SEGSTREAM_TOKEN has {len(text)} characters, or others than are allowed; "
            "wanted 8 to 512 of A-Z a-z 0-9 . _ ~ + / -"
        )
    return text or None


def _named(given: Mapping[str, str], name: str, read: Callable[[str], T]) -> T | None:
    """Read a variable's text, whose name an error begins with."""
    text = given.get(name)
    if not text:
        return None
    try:
        return read(text)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


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
