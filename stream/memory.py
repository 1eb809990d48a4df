"""Memory that two processes share."""

import os
import tempfile


def shared_memory(name: str, size: int) -> int:
    """A descriptor of a file in memory that never has a name, so nothing is left behind however
    anyone ends. name: shown in lists of open files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
