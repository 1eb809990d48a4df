"""SRT by the system's libsrt, since the FFmpeg inside PyAV's wheels has none.

Its C interface: docs/API of https://github.com/Haivision/srt. A socket is a number, and what fails
is told by srt_getlasterror.
"""

import contextlib
import ctypes
import functools
import socket
import struct
from enum import StrEnum

from stream.errors import InputError
from stream.limits import PUBLISH_BUFFER, PUBLISH_SILENCE, SOURCE_SILENCE, SRT_CONNECT
from stream.srt_address import SrtAddress

LIBRARIES = ("libsrt-gnutls.so.1.5", "libsrt.so.1.5", "libsrt-gnutls.so.1.4", "libsrt.so.1.4")
"""As Debian, Ubuntu and others call them; 1.4 and 1.5 have the same interface."""

MISSING = (
    "srt:// needs libsrt, which is not on this machine; install it, as by apt-get install "
    "libsrt1.5-gnutls (Ubuntu 22.04: libsrt1.4-gnutls), or use rtsp:// by way of a media server"
)

RCVSYN, SNDBUF, SNDTIMEO, RCVTIMEO, LATENCY, PASSPHRASE, PBKEYLEN = 2, 5, 13, 14, 23, 26, 27
SNDDROPDELAY, CONNTIMEO, STREAMID, PAYLOADSIZE, IPV6ONLY = 32, 36, 46, 49, 54
"""SRT_SOCKOPT of srt.h."""

ERROR = -1
ENOSERVER, ECONNREJ = 1001, 1002
ECONNLOST, ENOCONN, EASYNCRCV, ETIMEOUT = 2001, 2002, 6002, 6003
"""SRT_ERRNO."""

BADSECRET, UNSECURE = 10, 11
UNAUTHORIZED, FORBIDDEN, NOTFOUND = 1401, 1403, 1404
"""SRT_REJECT_REASON, and those of access_control.h that programs give for a stream id."""

MAX_MESSAGE = 1456
"""Bytes: what SRT allows in one."""

MAX_ADDRESSES = 3
"""Of one host that are tried."""


class Reason(StrEnum):
    """Named as in stream.egress.publication.Failure, and most in stream.ingest.source.Failure."""

    CREDENTIALS = "credentials"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"
    SILENT = "silent"
    LEFT = "left"


REJECTIONS = {
    BADSECRET: (Reason.CREDENTIALS, "the passphrase is another there"),
    UNSECURE: (Reason.CREDENTIALS, "only one side has a passphrase"),
    UNAUTHORIZED: (Reason.CREDENTIALS, "by its answer to the streamid"),
    FORBIDDEN: (Reason.CREDENTIALS, "by its answer to the streamid"),
    NOTFOUND: (Reason.NOT_FOUND, "by its answer to the streamid"),
}


class SrtError(Exception):
    """detail: for people, without anything secret."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


@functools.cache
def library() -> ctypes.CDLL:
    """Raises InputError where there is none."""
    for name in LIBRARIES:
        with contextlib.suppress(OSError):
            found = ctypes.CDLL(name)
            found.srt_getlasterror_str.restype = ctypes.c_char_p
            found.srt_startup()
            return found
    raise InputError(MISSING)


class Connection:
    """What takes, or gives, MPEG-TS as a file would. Raises SrtError."""

    def __init__(self, handle: int, payload: int, ended: Reason = Reason.CLOSED) -> None:
        self._handle = handle
        self._payload = payload
        self._ended = ended
        self._message = ctypes.create_string_buffer(MAX_MESSAGE)
        self._rest = b""

    def write(self, data: bytes) -> int:
        """data: whole packets. Blocks while the other side does not keep up."""
        for start in range(0, len(data), self._payload):
            message = data[start : start + self._payload]
            if library().srt_send(self._handle, message, len(message)) == ERROR:
                raise _error(ended=self._ended)
        return len(data)

    def read(self, size: int) -> bytes:
        """As much as came in one message, or what is left of it."""
        if not self._rest:
            count = library().srt_recv(self._handle, self._message, MAX_MESSAGE)
            if count == ERROR:
                raise _error(ended=self._ended)
            self._rest = self._message.raw[:count]
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """Tells the other side."""
        library().srt_close(self._handle)


class Listener:
    """Waits at a port for one caller. Raises SrtError."""

    def __init__(self, address: SrtAddress) -> None:
        self._payload = address.payload
        place = _resolve(address)[0]
        self._handle = _socket(address)
        _set(self._handle, RCVSYN, 0)
        _set(self._handle, IPV6ONLY, 0)
        srt = library()
        if (
            srt.srt_bind(self._handle, place, len(place)) == ERROR
            or srt.srt_listen(self._handle, 1) == ERROR
        ):
            self.close()
            raise SrtError(Reason.UNREACHABLE, "the port cannot be waited at; is it in use?")

    def accept(self) -> Connection | None:
        """Who has come, if anybody; then nobody else can."""
        handle = library().srt_accept(self._handle, None, None)
        if handle == ERROR:
            if _last_error() == EASYNCRCV:
                return None
            raise _error()
        self.close()
        return Connection(handle, self._payload, Reason.LEFT)

    def close(self) -> None:
        library().srt_close(self._handle)


def connect(address: SrtAddress) -> Connection:
    """Raises SrtError, within SRT_CONNECT seconds and what a name server takes."""
    places = _resolve(address)
    failure = SrtError(Reason.UNREACHABLE)
    for place in places:
        handle = _socket(address)
        _set(handle, CONNTIMEO, round(SRT_CONNECT * 1000 / len(places)))
        if library().srt_connect(handle, place, len(place)) != ERROR:
            return Connection(handle, address.payload)
        failure = _error(handle)
        library().srt_close(handle)
    raise failure


def _resolve(address: SrtAddress) -> list[bytes]:
    """The host's addresses, as a sockaddr each."""
    host = address.host or "0.0.0.0"
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise SrtError(Reason.UNREACHABLE, "its name is not known") from error
    return [_sockaddr(family, *place) for family, _, _, _, place in found[:MAX_ADDRESSES]]


def _sockaddr(family: int, host: str, port: int, flow: int = 0, scope: int = 0) -> bytes:
    """sockaddr_in or sockaddr_in6 of Linux."""
    packed = struct.pack("=H", family) + struct.pack("!H", port)
    number = socket.inet_pton(family, host.partition("%")[0])
    if family == socket.AF_INET:
        return packed + number + bytes(8)
    return packed + struct.pack("!I", flow) + number + struct.pack("=I", scope)


def _socket(address: SrtAddress) -> int:
    handle: int = library().srt_create_socket()
    if handle == ERROR:
        raise _error()
    _set(handle, PAYLOADSIZE, address.payload)
    # What is not taken in time is to wait, and then be dropped, where whole pictures are.
    _set(handle, SNDBUF, 2 * PUBLISH_BUFFER)
    _set(handle, SNDDROPDELAY, -1)
    _set(handle, SNDTIMEO, round(PUBLISH_SILENCE * 1000))
    _set(handle, RCVTIMEO, round(SOURCE_SILENCE * 1000))
    if address.latency is not None:
        _set(handle, LATENCY, address.latency)
    if address.passphrase:
        _set(handle, PASSPHRASE, address.passphrase)
        _set(handle, PBKEYLEN, address.key_length)
    if address.stream_id:
        _set(handle, STREAMID, address.stream_id)
    return handle


def _set(handle: int, option: int, value: int | str) -> None:
    data = value.encode() if isinstance(value, str) else struct.pack("=i", value)
    if library().srt_setsockflag(handle, option, data, len(data)) == ERROR:
        error = _error()
        library().srt_close(handle)
        raise error


def _last_error() -> int:
    return int(library().srt_getlasterror(None))


def _error(handle: int | None = None, ended: Reason = Reason.CLOSED) -> SrtError:
    """What failed last. handle: of a socket that was to connect. ended: of one that was."""
    number = _last_error()
    if number == ECONNREJ and handle is not None:
        reason = library().srt_getrejectreason(handle)
        return SrtError(*REJECTIONS.get(reason, (Reason.REFUSED, f"SRT's reason {reason}")))
    if number == ENOSERVER:
        return SrtError(Reason.UNREACHABLE, "nothing answers")
    if number in (ECONNLOST, ENOCONN):
        return SrtError(ended)
    if number in (ETIMEOUT, EASYNCRCV):
        return SrtError(Reason.SILENT)
    return SrtError(Reason.UNREACHABLE, library().srt_getlasterror_str().decode().lower())
