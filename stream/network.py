"""How peers reach each other: STUN and TURN servers, UDP ports, the address behind a NAT."""

import base64
import hmac
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from stream.errors import InputError

MAX_ICE_SERVERS = 8
"""More only make gathering slower, in browsers too."""

MAX_CREDENTIAL = 256
"""Characters of a TURN user or password."""

TURN_LIFETIME = 12 * 3600
"""Seconds that credentials made from a shared secret hold: TURN servers check them again when a
relay is refreshed, so a connection that lasts longer may lose it; the draft recommends a day."""

TURN_NAME = "segstream"
"""Whom the TURN server's log names as user, behind the time."""

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
    printable ASCII, and None for STUN, and for TURN where they are made from a shared secret."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    @property
    def lacks_user(self) -> bool:
        return self.url.startswith("turn") and self.username is None


@dataclass(frozen=True, slots=True)
class Network:
    """What the server's own connections use.

    ice_servers: asked for its own candidates, and told to clients.
    udp_ports: of the media; None: any that the system gives.
    public_address: that peers are to send to, where a NAT passes its ports on unchanged.
    turn_secret: that TURN servers without a user share with this one.

    Raises InputError for a TURN server with neither.
    """

    ice_servers: tuple[IceServer, ...] = ()
    udp_ports: range | None = None
    public_address: str | None = None
    turn_secret: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for server in self.ice_servers:
            if server.lacks_user and not self.turn_secret:
                raise InputError(
                    f"ICE server {server.url} lacks USER:PASSWORD@, and SEGSTREAM_TURN_SECRET, "
                    f"from which they could be made, is not set; {_WANTED}"
                )

    def servers(self, now: float) -> tuple[IceServer, ...]:
        """The ICE servers with credentials that hold from now on for TURN_LIFETIME at least.

        now: seconds since 1970.
        """
        if self.turn_secret is None:
            return self.ice_servers
        user, password = turn_credentials(self.turn_secret, TURN_NAME, int(now) + TURN_LIFETIME)
        return tuple(
            IceServer(server.url, user, password) if server.lacks_user else server
            for server in self.ice_servers
        )


def turn_credentials(secret: str, name: str, expires: int) -> tuple[str, str]:
    """User and password that a TURN server takes until `expires`, seconds since 1970, without
    knowing anybody (draft-uberti-behave-turn-rest-00 section 2.2; coturn: use-auth-secret)."""
    username = f"{expires}:{name}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(digest).decode()


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
    if not is_turn and (match["user"] or match["transport"]):
        raise InputError(f"ICE server {shown} takes neither a user nor a transport; {_WANTED}")
    url = f"{match['scheme']}:{match['host']}{match['port'] or ''}{match['transport'] or ''}"
    if not match["user"]:  # of TURN: Network sees to it that there is a secret
        return IceServer(url)
    username, credential = unquote(match["user"]), unquote(match["password"])
    for given in (username, credential):
        if not (given.isascii() and given.isprintable() and len(given) <= MAX_CREDENTIAL):
            raise InputError(
                f"ICE server {shown}: user and password must be printable ASCII, "
                f"at most {MAX_CREDENTIAL} characters each"
            )
    return IceServer(url, username, credential)
