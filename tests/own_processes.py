"""What the tests have started: others may run the same programs on this machine meanwhile."""

import os
import subprocess


def command_lines(root: int | None = None) -> dict[int, str]:
    """Of the processes that `root`, or else this one, has started and those that they have, by id.

    Who outlives its parent belongs to nobody any more: look before the parent ends.
    """
    listed = subprocess.run(
        ["ps", "axww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    children: dict[int, list[int]] = {}
    lines: dict[int, str] = {}
    for line in listed.stdout.splitlines():
        pid, parent, arguments = line.split(None, 2)
        children.setdefault(int(parent), []).append(int(pid))
        lines[int(pid)] = arguments
    found, waiting = {}, children.get(root or os.getpid(), [])
    while waiting:
        pid = waiting.pop()
        found[pid] = lines[pid]
        waiting += children.get(pid, [])
    return found
