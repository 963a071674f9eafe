"""What processes cost: memory and processor time, as /proc tells them. MB are 10^6 bytes."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

MB = 1e6
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
USER_AND_SYSTEM = slice(11, 13)
"""Of the fields of /proc/PID/stat that follow the name, which may hold anything."""


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process started, and theirs; /proc lists them by the thread that did it."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            yield child
            yield from descendants(child)


def memory_bytes(pid: int) -> dict[str, int]:
    """The memory figures of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.endswith(" kB")}


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[USER_AND_SYSTEM])) / CLOCK_TICKS


def ended_children_cpu_s() -> float:
    """Processor time of all child processes of this one that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
