"""What the kernel tells about a process: memory, processor time, descriptors, signals, listening ports."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


def rss(pid: int) -> int:
    """Resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def cpu(pid: int) -> float:
    """Processor time used so far, user and system, in seconds; its grain is a clock tick (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def descriptors(pid: int) -> list[str]:
    """What each open descriptor points to, such as ``socket:[123]`` or a path."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(entry))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for a signal."""
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def children(pid: int) -> list[int]:
    """The processes that were started by this one and are there now."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def listening(pid: int) -> set[int | str]:
    """The TCP ports and the paths of unix sockets that the process listens on."""
    own = {name[8:-1] for name in descriptors(pid) if name.startswith("socket:[")}
    ports: set[int | str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in own:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[5] == "01" and fields[3] == "00010000" and fields[6] in own:
            ports.add(fields[7])
    return ports
