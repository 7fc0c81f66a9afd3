"""A gateway under faults, and what holds whatever happens to it.

At the end of each test everything that was connected is closed, and then: no process of the gateway has logged a
traceback, all have as many descriptors as before, and each connection has as many access records as it was meant to.
"""

from __future__ import annotations

import signal
from typing import Any

from tests.doubles import processes
from tests.doubles.gateway import Gateway
from tests.doubles.raw import Wire
from tests.doubles.steering import workers
from tests.doubles.waiting import until

#: Descriptors that a process may have more than before: pipes of its pool, once the pool has been used.
POOL = 2 * 8


class Observed:
    """``gateway`` with what tests ask of it; ``connect`` notes how many records the connection will have.

    ``tracebacks`` are those that a test provokes: there must be so many, and no more.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tracebacks = 0
        self._wires: list[Wire] = []
        self._wanted: dict[int, int] = {}
        self._before = self._descriptors()

    def connect(self, name: str = "web", *, records: int = 1, **options: Any) -> Wire:
        """A connection from a port that no other has; ``records`` are the requests that will be made on it."""
        wire = self.gateway.connect(name, **options)
        self._wires.append(wire)
        self._wanted[wire.sock.getsockname()[1]] = records
        return wire

    def records(self, wire: Wire) -> list[dict[str, Any]]:
        """The access records of a connection, once there are any."""
        port = wire.sock.getsockname()[1]
        return until(lambda: [one for one in self._records() if one["client_port"] == port], "an access record")

    def rss(self) -> int:
        """Resident bytes of all processes."""
        return sum(map(processes.rss, self._pids()))

    def _pids(self) -> set[int]:
        return {self.gateway.pid, *(worker["pid"] for worker in workers(self.gateway))}

    def _descriptors(self) -> dict[int, int]:
        return {pid: len(processes.descriptors(pid)) for pid in self._pids()}

    def _records(self) -> list[dict[str, Any]]:
        self.gateway.signal(signal.SIGUSR1)  # the log is written in batches; reopening it writes at once
        return self.gateway.records()

    def _counts(self) -> dict[int, int]:
        counts = dict.fromkeys(self._wanted, 0)
        for record in self._records():
            if record["client_port"] in counts:
                counts[record["client_port"]] += 1
        return counts

    def check(self) -> None:
        """The end of a test."""
        for wire in self._wires:
            wire.close()
        until(lambda: not sum(worker["connections"] for worker in workers(self.gateway)), "an empty gateway")
        until(lambda: self._leaked() <= POOL, "descriptors given back")
        until(lambda: self._counts() == self._wanted, "one access record for each request", timeout=5.0)
        assert self.gateway.log.count("Traceback") == self.tracebacks, self.gateway.log
        if self.tracebacks:
            # Whoever stops it asks for none.
            self.gateway.signal(signal.SIGTERM)
            assert self.gateway.wait() == 0
            (self.gateway.directory / "output.log").write_text("Main loop terminated")

    def _leaked(self) -> int:
        """How many more descriptors than before the process has that has most of them more."""
        now = self._descriptors()
        return max(now[pid] - before for pid, before in self._before.items() if pid in now)
