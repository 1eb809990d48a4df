"""aioice 0.13 leaves 127.0.0.1 out: on a machine without a network no peer could connect."""

from aioice import ice

LOOPBACK = "127.0.0.1"

original = ice.get_host_addresses


def apply() -> None:
    ice.get_host_addresses = host_addresses


def host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    addresses = original(use_ipv4, use_ipv6)
    return [*addresses, LOOPBACK] if use_ipv4 and LOOPBACK not in addresses else addresses
