"""How peers reach each other: STUN and TURN servers, UDP ports, the address behind a NAT."""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from stream.errors import InputError

MAX_ICE_SERVERS = 8
"""More only make gathering slower, in browsers too."""

MAX_CREDENTIAL = 256
"""Characters of a TURN user or password."""

_ICE_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?:(?P<user>[^:@/?\s]+):(?P<password>[^@/?\s]+)@)?"
    r"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?P<port>:[0-9]{1,5})?"
    r"(?P<transport>\?transport=(?:udp|tcp))?"
)

_WANTED = (
    "wanted stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=udp|tcp], "
    "or turns: for TLS; write %40 and the like for what has a meaning in a URL"
)


@dataclass(frozen=True, slots=True)
class IceServer:
    """url: as browsers take it (RFC 7064, RFC 7065), without the credentials. Both of these are
    printable ASCII, and None for STUN."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Network:
    """What the server's own connections use.

    ice_servers: asked for its own candidates, and told to clients.
    udp_ports: of the media; None: any that the system gives.
    public_address: that peers are to send to, where a NAT passes its ports on unchanged.
    """

    ice_servers: tuple[IceServer, ...] = ()
    udp_ports: range | None = None
    public_address: str | None = None


def ice_servers(text: str) -> tuple[IceServer, ...]:
    """Read a comma-separated list. Raises InputError, which names no password."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MAX_ICE_SERVERS:
        raise InputError(f"{len(parts)} ICE servers are given; at most {MAX_ICE_SERVERS} are taken")
    return tuple(_ice_server(part) for part in parts)


def udp_ports(text: str) -> range:
    """Read FIRST-LAST, both of which are used. Raises InputError."""
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text.strip(), re.ASCII)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1024 <= first <= last <= 65535:
        raise InputError(
            f"UDP ports are {text[:40]!r}; wanted FIRST-LAST within 1024-65535, like 50000-50999"
        )
    return range(first, last + 1)


def public_address(text: str) -> str:
    """An IPv4 or IPv6 address in its usual form. Raises InputError."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise InputError(
            f"the public address is {text[:60]!r}; wanted an IP address, like 203.0.113.7"
        ) from error
    if address.is_unspecified or address.is_multicast:
        raise InputError(f"the public address is {text}; wanted one that peers can send to")
    return str(address)


def _ice_server(text: str) -> IceServer:
    shown = repr(re.sub(r":[^:@]*:.*@", ":…@", text)[:100])
    match = _ICE_SERVER.fullmatch(text)
    if match is None or (match["port"] and not 0 < int(match["port"][1:]) <= 65535):
        raise InputError(f"ICE server {shown} cannot be read; {_WANTED}")
    is_turn = match["scheme"].startswith("turn")
    if is_turn != bool(match["user"]) or (match["transport"] and not is_turn):
        what = "lacks USER:PASSWORD@" if is_turn else "takes neither a user nor a transport"
        raise InputError(f"ICE server {shown} {what}; {_WANTED}")
    url = f"{match['scheme']}:{match['host']}{match['port'] or ''}{match['transport'] or ''}"
    if not is_turn:
        return IceServer(url)
    username, credential = unquote(match["user"]), unquote(match["password"])
    for given in (username, credential):
        if not (given.isascii() and given.isprintable() and len(given) <= MAX_CREDENTIAL):
            raise InputError(
                f"ICE server {shown}: user and password must be printable ASCII, "
                f"at most {MAX_CREDENTIAL} characters each"
            )
    return IceServer(url, username, credential)
