"""What a process that opens strangers' files may use, set by itself before it opens one."""

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

FILE_SIZE = 16 * 1024**3
"""One file that a job writes: ten times what an hour of 1080p takes."""


def confine(memory: int | None, seconds: float, reserves: bool = False) -> None:
    """memory: bytes of address space; None without limit. seconds: of CPU time, then SIGXCPU.

    reserves: it reserves far more addresses than it uses; `memory` then is what it may write to,
    which only Linux counts.
    """
    if resource is None:
        return
    if memory is not None:
        _lower(resource.RLIMIT_DATA if reserves else resource.RLIMIT_AS, memory)
    _lower(resource.RLIMIT_CPU, int(seconds) + 1)
    _lower(resource.RLIMIT_FSIZE, FILE_SIZE)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, limit: int) -> None:
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(kind, (limit, most))
