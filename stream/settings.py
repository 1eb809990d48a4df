"""What an operator can set; each is also the environment variable SEGSTREAM_<NAME>."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from stream.errors import InputError


@dataclass(frozen=True, slots=True)
class Settings:
    """host, port: where the server listens; by default only this machine can reach it.
    model: a name from the catalog.
    threads: CPU threads of the network; None lets it choose.
    hosts: names under which browsers may call a server that listens on loopback, when a reverse
    proxy stands before it.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    model: str = "nano"
    threads: int | None = None
    hosts: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """SEGSTREAM_HOST, _PORT, _MODEL, _THREADS, _HOSTS (comma-separated); empty means unset.

        Raises InputError.
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
        )


def _whole(given: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = given.get(name)
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise InputError(f"{name} is {text!r}; wanted a whole number from {least} to {most}")
    return int(text)
