"""What a process does when its memory gets short: it refuses, then closes who keeps most, and says so once a time."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from wsgate.admission.memory import Pressure, excess, heaviest, pressure, share
from wsgate.causes import Cause
from wsgate.config.model import Mode
from wsgate.control.doors import Doors
from wsgate.registry import Live
from wsgate.runtime import Runtime
from wsgate.transport.wheel import Timer

#: Seconds between two looks; one costs a read of a file of the kernel.
LOOK = 0.25

#: What a worker adds to its score with the kernel (proc(5), oom_score_adj), of 1000: where the machine itself runs out
#: of memory, a worker is ended and replaced, and not the process that replaces workers.
SCORE = 200

_PAGE = os.sysconf("SC_PAGE_SIZE")

#: Listeners that accept no more: those of Layer 4 have no words to refuse with, so that their clients wait in the
#: kernel's queue, where another worker may take them.  Above the limit nobody is accepted.
_BARRED = {
    Pressure.NONE: frozenset[Mode](),
    Pressure.REFUSING: frozenset({Mode.TCP}),
    Pressure.SHEDDING: frozenset(Mode),
}

_WORDS = {
    Pressure.NONE: "memory is enough again",
    Pressure.REFUSING: "memory is short, new requests are refused",
    Pressure.SHEDDING: "memory is too short, nobody is accepted and who keeps most is closed",
}

_log = Logger("wsgate.control")


class MemoryPressure:
    """Watches the memory of this process and keeps ``runtime`` and ``doors`` to what there is.

    ``processes()`` is how many share ``max_memory``; ``used()`` are the bytes in use, ``group`` those that the control
    group may have (0: no limit).
    """

    def __init__(
        self,
        runtime: Runtime,
        doors: Doors,
        processes: Callable[[], int],
        *,
        used: Callable[[], int] | None = None,
        group: int | None = None,
    ) -> None:
        self._runtime = runtime
        self._doors = doors
        self._processes = processes
        self._used = resident if used is None else used
        self._group = group_limit() if group is None else group
        # What a worker begins with is its parent's, as long as nobody writes to it.
        self._common = self._used()
        self._timer: Timer | None = None
        self._told: set[int] = set()
        self._words: set[Pressure] = set()
        self._closed = 0
        self.limit = 0
        self.state = Pressure.NONE

    def follow(self) -> None:
        """Keep to the limit of the plan that is served now."""
        wanted = self._runtime.plan.config.gateway.max_memory
        self.limit = share(wanted, self._group, self._processes(), self._common)
        if self._timer is None:
            self._look()

    def facts(self) -> dict[str, Any]:
        """What an operator asks, in bytes; ``limit`` 0 is none."""
        return {"used": self._used(), "limit": self.limit, "state": self.state.value, "closed": self._closed}

    def _look(self) -> None:
        """Without a limit this is the last look, until ``follow``."""
        self._timer = None
        used = self._used() if self.limit else 0
        state = pressure(used, self.limit, self.state)
        if state is not Pressure.NONE:
            # What was closed since lies in the allocator: it counts only where it cannot be given back.
            _give_back()
            used = self._used()
            state = pressure(used, self.limit, self.state)
        if state is not self.state:
            self._change(state, used)
        if state is Pressure.SHEDDING:
            self._shed(excess(used, self.limit))
        if self.limit:
            self._timer = self._runtime.wheel.after(LOOK, self._look)

    def _change(self, state: Pressure, used: int) -> None:
        self.state = state
        self._runtime.short_of_memory = state is not Pressure.NONE
        self._doors.bar(_BARRED[state])
        # Each once, until it is over: at the edge the state changes often.
        if state is Pressure.NONE:
            self._words.clear()
        elif state in self._words:
            return
        self._words.add(state)
        facts = {"used": used >> 20, "limit": self.limit >> 20, "closed": self._closed}
        tell = _log.info if state is Pressure.NONE else _log.warn
        tell("{words}: {used} of {limit} MiB, {closed} closed for it so far", words=_WORDS[state], **facts)

    def _shed(self, wanted: int) -> None:
        """Close who keeps most.  A WebSocket gets its Close; who has not taken it until the next look is cut off."""
        live = self._runtime.live
        told, self._told = self._told, set()
        kept: list[tuple[int, Callable[[], None]]] = []
        for one in live:
            size = one.relay.traffic().kept
            if one.number in told and size:
                one.relay.abort(Cause.MEMORY)
                wanted -= size
            else:
                kept.append((size, partial(self._tell, one)))
        kept += [(one.unread, partial(one.abort, Cause.MEMORY)) for one in live.connections]
        for close in heaviest(kept, wanted):
            self._closed += 1
            close()

    def _tell(self, one: Live) -> None:
        self._told.add(one.number)
        one.close(Cause.MEMORY)


def resident() -> int:
    """The memory of this process in bytes, what it shares with the one that it was forked from included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def group_limit(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """What the control group of this process, or one above it, may have; 0: no limit (cgroups(7), version 2)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return 0
    group = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), None)
    limits = []
    if group is not None:
        for folder in (groups / group, *(groups / group).parents):
            try:
                text = (folder / "memory.max").read_text().strip()
            except OSError:
                # The root of all groups has none, nor what lies above it.
                continue
            if text.isdecimal():
                limits.append(int(text))
    return min(limits, default=0)


def volunteer(score: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Be ended before the process that this one was forked from, where the machine runs out of memory."""
    with suppress(OSError, ValueError):
        score.write_text(str(min(1000, int(score.read_text()) + SCORE)))


def _give_back() -> None:
    """Let the C library give what it keeps free back to the system (malloc_trim(3)), where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
