"""A gateway under faults, and what holds whatever happens to it.

At the end of each test everything that was connected is closed, and then: no process of the gateway has logged a
traceback, all have as many descriptors as before, and each connection has as many access records as it was meant to.
"""

from __future__ import annotations

import signal
from collections import Counter
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
        self._maybe: set[int] = set()
        self._before = self._descriptors()

    def connect(self, name: str = "web", *, records: int | None = 1, **options: Any) -> Wire:
        """A connection from a port that no other has; ``records`` are the requests that will be made on it.

        None: it may be that it is never accepted.
        """
        wire = self.gateway.connect(name, **options)
        self._wires.append(wire)
        port = wire.sock.getsockname()[1]
        if records is None:
            self._maybe.add(port)
        else:
            self._wanted[port] = records
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

    def _is_recorded(self) -> bool:
        counts = Counter(record["client_port"] for record in self._records())
        return self._wanted == {port: counts[port] for port in self._wanted} and all(
            counts[port] <= 1 for port in self._maybe
        )

    def check(self) -> None:
        """The end of a test."""
        for wire in self._wires:
            wire.close()
        until(lambda: not sum(worker["connections"] for worker in workers(self.gateway)), "an empty gateway")
        until(lambda: self._leaked() <= POOL, "descriptors given back")
        until(self._is_recorded, "one access record for each request")
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
