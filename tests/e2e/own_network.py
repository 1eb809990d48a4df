"""A network that is a test's own, as Linux's namespaces make it."""

import ctypes
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

CLONE_NEWNET = 0x40000000

SETUP = (
    "ip link set lo up",
    "ip link add near type veth peer name far",
    "ip address add 10.77.0.1/24 dev near",
    "ip link set near up",
    "ip link set far up",
)


@contextmanager
def own_network():
    """What this thread starts meanwhile sees just this network, in which it has an address that is
    not loopback's. Only root may make one: for others nothing changes."""
    libc = ctypes.CDLL(None, use_errno=True)
    if shutil.which("ip") is None:
        pytest.fail("no ip found; install it, on Debian and Ubuntu: apt-get install iproute2")
    usual = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            yield
            return
        try:
            for command in SETUP:
                subprocess.run(command.split(), check=True, timeout=20)
            yield
        finally:
            assert libc.setns(usual, CLONE_NEWNET) == 0
    finally:
        os.close(usual)
