"""Which addresses the server may connect to on a stranger's word."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from stream.errors import InputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOKUP = 5.0
"""Seconds that a name server may take."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""An IPv4 address in its last 32 bits (RFC 6052)."""


class Allowed:
    """Public addresses, and what the operator named.

    given: networks in CIDR form, addresses and host names. Raises InputError for what is neither.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for text in given:
            try:
                self._networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                if "/" in text or not text.isascii():
                    raise InputError(
                        f"SEGSTREAM_FETCH_ALLOW holds {text!r}; wanted host names and networks "
                        "such as 10.1.0.0/16"
                    ) from None
                self._hosts.add(text.lower())

    def host(self, name: str) -> bool:
        """Whatever address the name has, the operator wants it."""
        return name.lower() in self._hosts

    def address(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if any(address in network for network in self._networks):
            return True
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return all(map(is_public, (address, *_embedded(address))))


ANYWHERE = Allowed(("0.0.0.0/0", "::/0"))
"""For whom the server may connect to any address: its operator."""


async def look_up(host: str) -> list[str]:
    """A host's addresses, those first that are to be tried first; none where nobody knows it.

    For what connects by itself: it is to be led to what was found here and is allowed, since a
    name server may answer something else a moment later. What connects here has a Guard.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    return [str(address[0]) for *_, address in found]


class Guard:
    """Makes the sockets of one request, for allowed addresses only.

    It is given the very address that is connected to next, so a name whose answer changes between
    a check and the connection gains nothing. `refused`: what was not allowed, if anything.
    """

    def __init__(self, allowed: Allowed, host: str) -> None:
        self.refused: str | None = None
        self._allowed = allowed
        self._any = allowed.host(host)

    def __call__(self, info: Sequence[Any]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._any and not self._allowed.address(address[0]):
            self.refused = address[0]
            raise OSError(errno.EACCES, "address is not allowed")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def is_public(address: Address) -> bool:
    """On the internet: not private, loopback, link-local (where clouds keep their metadata),
    shared, multicast or reserved."""
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
    )


def _embedded(address: Address) -> list[Address]:
    """The IPv4 addresses that packets to an IPv6 address may end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo:
        found += address.teredo
    return [one for one in found if one is not None]
