"""What an operator can set. One table: each field is a key of the configuration file, the
environment variable SEGSTREAM_<NAME> and, unless the table says no, an option."""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from stream.errors import InputError
from stream.kinds import (
    FLAG,
    ICE_SERVERS,
    IP_ADDRESS,
    NAMES,
    PATH,
    SECRET,
    TEXT,
    TOKEN,
    UDP_PORTS,
    Kind,
    decimal,
    one_of,
    whole,
)
from stream.limits import MAX_BITRATE_SETTING
from stream.network import IceServer, Network

MAX_BITRATE = 6_000_000
"""Bits per second: 720p gains little from more."""


JOB_NICE = 15
"""Shares of a CPU that several want are 1.25 ** -niceness. Beside the worker's 10 a job gets a
quarter, beside other programs a thirtieth; 19 would be an eighth and a seventieth, which is too
little to get on on a machine that is busy all the time, and 10 a half, at the cost of live
sessions. benchmarks.beside measures what comes of it."""


JOB_RATE = 1.0
"""Pictures a second: with nano on two cores a twentieth of what they can do, less on a GPU."""


@dataclass(frozen=True, slots=True)
class Key:
    """meaning: one line, for the file and for --help. otherwise: in words, what None or nothing
    stands for. example: a value as text, where there is no default to show. group: the heading
    it stands under. metavar: what --help shows for its value. secret: never printed. option: it
    is one; other users of the machine can read a command line."""

    kind: Kind
    meaning: str
    group: str
    otherwise: str = ""
    example: str = ""
    metavar: str | None = None
    secret: bool = False
    option: bool = True


SERVER, NETWORK, REACH = "the server", "the network", "how peers reach it"
CAMERAS, JOBS, OPERATION = "cameras", "whole videos", "operation"


def key(default: object, kind: Kind, meaning: str, group: str, **more: Any) -> Any:
    """A field of Settings; more: of Key."""
    described = Key(kind, meaning, group, **more)
    return field(default=default, metadata={"key": described}, repr=not described.secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """half: None: on CUDA only. threads: None lets the network choose. cameras: None: `segstream
    serve` takes stream.cameras.default_path. All others: see the table's own words; times in
    seconds."""

    host: str = key("127.0.0.1", TEXT, "address to listen on; 0.0.0.0 for all", SERVER)
    port: int = key(8080, whole(0, 65535), "TCP port to listen on", SERVER)
    model: str = key("nano", TEXT, "one of 'segstream models list'", NETWORK, metavar="NAME[@SIZE]")
    threads: int | None = key(
        None,
        whole(1, 1024),
        "CPU threads of the network",
        NETWORK,
        otherwise="all cores",
        example="4",
    )
    hosts: tuple[str, ...] = key(
        (),
        NAMES,
        "names of a reverse proxy before a server that listens on loopback",
        SERVER,
        otherwise="none",
        example="video.example.org",
        metavar="NAME[,NAME]",
    )
    weights: Path | None = key(
        None,
        PATH,
        "your own for this model: a checkpoint, or for nano a folder of exported graphs",
        NETWORK,
        otherwise="the published ones",
        example="/srv/weights.pt",
        metavar="PATH",
    )
    device: str = key(
        "auto",
        TEXT,
        "where it runs: cpu, cuda, or auto, which is CUDA for a full model if there is one",
        NETWORK,
        metavar="NAME",
    )
    half: bool | None = key(
        None,
        FLAG,
        "a full model in bfloat16 where that is exact enough",
        NETWORK,
        otherwise="on CUDA only",
        example="1",
    )
    compile: bool = key(
        False,
        FLAG,
        "compile a full model with PyTorch: a start of minutes, then faster",
        NETWORK,
    )
    window: bool = key(
        False,
        FLAG,
        "look at a window around the objects while they are small: better masks, a bit slower",
        NETWORK,
    )
    text_model: str | None = key(
        None,
        TEXT,
        "detector for phrases that are no words of the model: a folder, or a name of the Hugging "
        "Face hub",
        NETWORK,
        otherwise="none, only the model's own words are understood",
        example="IDEA-Research/grounding-dino-tiny",
        metavar="FOLDER|NAME",
    )
    min_tracker_rate: float = key(
        5.0,
        decimal(0, 1000),
        "masks a second that each session must get for another to be let in",
        SERVER,
        metavar="RATE",
    )
    token: str | None = key(
        None,
        TOKEN,
        "what WHIP and WHEP clients must send as a bearer token",
        REACH,
        otherwise="none, everybody is let in",
        example="write-32-random-characters-here",
        secret=True,
        option=False,
    )
    session_keys: str = key(
        "off",
        one_of("off", "remote", "all"),
        "who needs a key or a session token for live sessions: nobody (off), all but programs on "
        "this machine (remote), or all",
        REACH,
        metavar="WHO",
    )
    ice_servers: tuple[IceServer, ...] = key(
        (),
        ICE_SERVERS,
        "servers, as stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=tcp]; better "
        "not an option if there is a password, for other users can read a command line",
        REACH,
        otherwise="none",
        example="stun:stun.example.org:3478",
        metavar="URL[,URL]",
        secret=True,
    )
    turn_secret: str | None = key(
        None,
        SECRET,
        "shared with TURN servers (coturn: use-auth-secret): those in ice_servers without "
        "USER:PASSWORD get credentials that hold for 12 hours",
        REACH,
        otherwise="none",
        example="the-same-as-static-auth-secret",
        secret=True,
        option=False,
    )
    udp_ports: range | None = key(
        None,
        UDP_PORTS,
        "UDP ports of the media; one for each connection and local address",
        REACH,
        otherwise="any",
        example="50000-50999",
        metavar="FIRST-LAST",
    )
    public_address: str | None = key(
        None,
        IP_ADDRESS,
        "address that peers send to, behind a NAT that passes the ports on unchanged",
        REACH,
        otherwise="none",
        example="203.0.113.7",
        metavar="IP",
    )
    cameras: Path | None = key(
        None,
        PATH,
        "the file of all cameras, which 'segstream camera' changes",
        CAMERAS,
        otherwise="cameras.json in the folder for settings",
        example="/srv/cameras.json",
        metavar="FILE",
    )
    camera_files: bool = key(
        False,
        FLAG,
        "POST /cameras may name files of this machine",
        CAMERAS,
    )
    record: Path | None = key(
        None,
        PATH,
        "folder for recordings of cameras and sessions",
        CAMERAS,
        otherwise="none, nothing is recorded",
        example="/srv/recordings",
        metavar="FOLDER",
    )
    data: Path | None = key(
        None,
        PATH,
        "folder of keys and jobs",
        JOBS,
        otherwise="the user's folder for data",
        example="/srv/segstream",
        metavar="FOLDER",
    )
    fetch_allow: tuple[str, ...] = key(
        (),
        NAMES,
        "hosts and networks (CIDR) that strangers' videos may be fetched from, and their streams "
        "published to, although they are private",
        JOBS,
        otherwise="none",
        example="10.1.0.0/16",
        metavar="NAME[,NAME]",
    )
    jobs: int = key(1, whole(1, 64), "videos worked on at once", JOBS, metavar="N")
    job_nice: int = key(
        JOB_NICE,
        whole(0, 19),
        "niceness of jobs: at 10 they share a CPU evenly with the live sessions' network, at 15 "
        "they get a quarter of it, at 19 an eighth",
        JOBS,
        metavar="N",
    )
    job_rate: float = key(
        JOB_RATE,
        decimal(0.1, 1000),
        "pictures a second that all jobs together do at most while a live session is tracked",
        JOBS,
        metavar="RATE",
    )
    keep_hours: float = key(
        24.0,
        decimal(0, 24 * 366),
        "hours after which a finished job's files are removed",
        JOBS,
        metavar="HOURS",
    )
    max_bitrate: int = key(
        MAX_BITRATE,
        whole(300_000, MAX_BITRATE_SETTING),
        "bits per second of a returned picture; viewers' networks lower it",
        REACH,
        metavar="BITS",
    )
    drain_seconds: float = key(
        30.0,
        decimal(0, 86_400),
        "seconds that running sessions get to end by themselves after SIGTERM",
        OPERATION,
        metavar="SECONDS",
    )
    log_format: str = key(
        "text",
        one_of("text", "json"),
        "of the log: text, or json with one object a line",
        OPERATION,
        metavar="NAME",
    )
    log_level: str = key(
        "info",
        one_of("debug", "info", "warning", "error"),
        "the least that is logged: debug, info, warning or error",
        OPERATION,
        metavar="NAME",
    )

    @property
    def network(self) -> Network:
        """Raises InputError for settings that do not fit each other."""
        return Network(self.ice_servers, self.udp_ports, self.public_address, self.turn_secret)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Of the environment alone; stream.config adds the file. Raises InputError."""
        return cls(**environment_values(environment))


def keys() -> list[tuple[Field[Any], Key]]:
    """The table."""
    return [(found, found.metadata["key"]) for found in fields(Settings)]


def variable(name: str) -> str:
    return f"SEGSTREAM_{name.upper()}"


def environment_values(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is set there; empty means unset. Raises InputError."""
    given = os.environ if environment is None else environment
    return {
        found.name: parse(key, variable(found.name), text)
        for found, key in keys()
        if (text := given.get(variable(found.name)))
    }


def parse(key: Key, where: str, text: str) -> Any:
    """The value that a text stands for. where: how an error begins. Raises InputError."""
    try:
        return key.kind.read(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except ValueError:
        shown = "cannot be used" if key.secret else f"is {text[:100]!r}"
        raise InputError(f"{where} {shown}; wanted {key.kind.wanted}") from None
