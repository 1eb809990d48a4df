"""Which cameras there are: what is known of each, and the file that they are kept in."""

import contextlib
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from stream.compose import backgrounds, effect_fields
from stream.compose.effects import Effect, Stack
from stream.egress import target
from stream.errors import InputError, LimitError
from stream.ingest import address
from stream.ingest.address import Address, Kind, Transport
from stream.limits import MAX_CAMERA_FILE, MAX_CAMERAS, MAX_PUBLICATIONS, MAX_WORD

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """name: for URLs and file names. url: may hold a password. transport: of RTSP.

    sound: is read too, if there is some. effect: one, or several over each other. text: a word for
    what to track, set when it starts. loop: what ends, such as a file, is played again. record:
    into files, from the start. publish: addresses that the composited stream is sent to; may hold
    passwords.
    """

    name: str
    url: str
    transport: str = "auto"
    sound: bool = True
    effect: Stack = (Effect(),)
    text: str = ""
    loop: bool = True
    record: bool = False
    publish: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        return address.read(self.url, files=True)

    def as_json(self) -> dict[str, object]:
        """What `read_config` makes the same of."""
        return {**asdict(self), "effect": effect_fields.as_json(self.effect)}


Configs = dict[str, CameraConfig]


def read_config(given: object, *, files: bool) -> CameraConfig:
    """Check a camera as JSON gives it. files: it may be a file on this machine.

    Raises InputError, LimitError.
    """
    if not isinstance(given, Mapping):
        raise InputError('a camera is an object like {"name": "door", "url": "rtsp://…"}')
    known = {field.name: field for field in fields(CameraConfig)}
    if unknown := set(given) - set(known):
        raise InputError(f"a camera has no {', '.join(sorted(map(str, unknown)))[:60]}")
    for name in ("name", "url"):
        if name not in given:
            raise InputError(f"the camera's {name} is missing")
    given = {**given, "publish": _targets(given.get("publish", ()), files)}
    if "effect" in given:
        given["effect"] = read_effect(given["effect"])
    for name, value in given.items():
        if name in ("publish", "effect"):
            continue
        wanted = bool if name in ("sound", "loop", "record") else str
        if not isinstance(value, wanted):
            raise InputError(f"the camera's {name} is no {wanted.__name__}")
    config = CameraConfig(**given)
    if not NAME.fullmatch(config.name):
        raise InputError(
            f"name {config.name[:40]!r} cannot be used; wanted letters, digits, - and _, at most 40"
        )
    if config.transport not in [transport.value for transport in Transport]:
        raise InputError(f"transport {config.transport[:40]!r}; wanted auto, tcp or udp")
    if len(config.text) > MAX_WORD:
        raise InputError(f"text is too long; at most {MAX_WORD} characters")
    kept = address.read(config.url, files=files)
    # A file's path is kept whole: the server may run in another folder.
    url = kept.url if kept.kind is Kind.FILE else config.url.strip()
    return replace(config, url=url)


def read_effect(given: object) -> Stack:
    """What a camera may show: an effect or several (see effect_fields.stack), with no background
    but the program's own, since others go with the session that they were sent to.

    Raises EffectError, LimitError.
    """
    stack = effect_fields.stack(given)
    effect_fields.check_backgrounds(stack, backgrounds.names())
    return stack


def _targets(given: object, files: bool) -> tuple[str, ...]:
    """Raises InputError."""
    if not isinstance(given, list | tuple):
        raise InputError(
            'the camera\'s publish is no list; wanted one like ["rtmp://host/app/key"]'
        )
    if len(given) > MAX_PUBLICATIONS:
        raise InputError(f"publish names {len(given)} targets; at most {MAX_PUBLICATIONS} are")
    return tuple(target.read(text, files=files).url for text in given)


def default_path(
    environment: Mapping[str, str] | None = None, platform: str = sys.platform
) -> Path:
    """`$SEGSTREAM_CAMERAS`, else cameras.json where the platform keeps settings.

    Linux and the like: XDG Base Directory Specification; macOS: ~/Library/Application Support.
    """
    given = os.environ if environment is None else environment
    if named := given.get("SEGSTREAM_CAMERAS"):
        return Path(named).expanduser()
    if platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        xdg = given.get("XDG_CONFIG_HOME", "")
        folder = Path(xdg) if xdg.startswith("/") else Path.home() / ".config"
    return folder / "segstream" / "cameras.json"


class CameraFile:
    """The cameras as JSON: {"cameras": [{"name": …, "url": …}]}. Only its owner may read it.

    The command line and a running server both change it: each change is one `update`, and the
    other side sees `stamp` change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Another one after each change; None where there is no file."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    def read(self) -> Configs:
        """All cameras by name; none when there is no file. Raises InputError, LimitError."""
        try:
            if self.path.stat().st_size > MAX_CAMERA_FILE:
                raise LimitError(f"{self.path} is larger than {MAX_CAMERA_FILE} bytes")
            listed = json.loads(self.path.read_text(encoding="utf-8"))["cameras"]
            cameras = [read_config(given, files=True) for given in listed]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f'{self.path} is no camera file; wanted {{"cameras": […]}}') from error
        return {camera.name: camera for camera in cameras}

    def update(self, change: Callable[[Configs], None]) -> Configs:
        """Read, change and write as one step. Raises InputError, LimitError."""
        try:
            with self._locked():
                cameras = self.read()
                change(cameras)
                if len(cameras) > MAX_CAMERAS:
                    raise LimitError(f"there are {MAX_CAMERAS} cameras already; remove one first")
                self._write(cameras)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error
        return cameras

    def _write(self, cameras: Configs) -> None:
        text = json.dumps({"cameras": [camera.as_json() for camera in cameras.values()]}, indent=2)
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock is a file of its own, which stays: the camera file is replaced each time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            try:
                import fcntl
            except ImportError:  # Windows: the last change wins
                yield
                return
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def add(config: CameraConfig) -> Callable[[Configs], None]:
    """A change for CameraFile.update. Raises InputError for a name that is taken."""

    def change(cameras: Configs) -> None:
        if config.name in cameras:
            raise InputError(f"there is a camera {config.name} already; remove it first")
        cameras[config.name] = config

    return change


def set_effect(name: str, effect: Stack) -> Callable[[Configs], None]:
    """A change for CameraFile.update. Raises InputError for a name that there is not."""

    def change(cameras: Configs) -> None:
        _check_known(name, cameras)
        cameras[name] = replace(cameras[name], effect=effect)

    return change


def remove(name: str) -> Callable[[Configs], None]:
    """A change for CameraFile.update. Raises InputError for a name that there is not."""

    def change(cameras: Configs) -> None:
        _check_known(name, cameras)
        del cameras[name]

    return change


def _check_known(name: str, cameras: Configs) -> None:
    if name not in cameras:
        known = ", ".join(cameras) or "none"
        raise InputError(f"no camera {name[:40]}; known: {known}")
