"""What a run under load found: figures, and everything that must not have happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.sockets import Totals

#: What may lose messages: one that crosses a Close, or was in a worker that died, is not answered; its sender knows.
CLOSING = frozenset({"kill", "upgrade", "drain", "storm"})

BAR = 40


@dataclass
class Report:
    """What was found."""

    what: str
    times: int
    totals: Totals
    probes: int = 0
    probes_refused: int = 0
    probes_cut: int = 0  # before the answer was whole
    failures: list[str] = field(default_factory=list)
    rss_before: int = 0
    rss_after: int = 0
    fds_before: int = 0
    fds_after: int = 0
    expected_cut: int = 0
    slowest_probe: float = 0.0
    closes: list[float] = field(default_factory=list)  # seconds from the order to drain to each Close
    handshakes: list[float] = field(default_factory=list)  # of the last storm, in order
    rounds: list[int] = field(default_factory=list)  # resident bytes after each round of idle time
    records: int = 0  # of WebSockets, in the access log

    @property
    def lost(self) -> int:
        return self.totals.sent - self.totals.received

    def faults(self) -> list[str]:
        """Everything that must not have happened."""
        found = list(self.failures)
        totals = self.totals
        if totals.out_of_order:
            found.append(f"{totals.out_of_order} messages out of order")
        if self.lost > 0 and self.what not in CLOSING:
            found.append(f"{self.lost} messages lost")
        if totals.cut > self.expected_cut:
            found.append(f"{totals.cut} connections cut, {self.expected_cut} expected")
        if totals.cut_inside and not self.expected_cut:
            found.append(f"{totals.cut_inside} connections cut inside a frame")
        if self.probes_refused or totals.refused:
            found.append(f"{self.probes_refused} probes and {totals.refused} WebSockets refused")
        if self.probes_cut and self.what != "kill":
            found.append(f"{self.probes_cut} probes cut")
        # What a killed worker had not written yet is lost with it.
        if not totals.opened - self.expected_cut <= self.records <= totals.opened:
            found.append(f"{self.records} access records for {totals.opened} WebSockets")
        return found


def percentile(values: Sequence[float], part: float) -> float:
    """The value that ``part`` (0 to 1) of the ``values`` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def histogram(seconds: Sequence[float], columns: int = 20) -> str:
    """How many fell into each of so many equal parts of the time up to the last one; a line for each part."""
    if not seconds:
        return ""
    width = max(seconds) / columns or 1.0
    counts = [0] * columns
    for one in seconds:
        counts[min(columns - 1, int(one / width))] += 1
    most = max(counts)
    return "\n".join(
        f"{number * width:6.2f} s {'#' * round(BAR * count / most):{BAR}} {count}"
        for number, count in enumerate(counts)
    )
