"""How long a place stays empty whose process ended: each has its own count, and nothing but a long life clears it."""

from __future__ import annotations

#: A process that lived less long (seconds) crashed at its start; its successors are started ever later, up to LAST
#: seconds apart.
YOUNG = 1.0
FIRST, LAST = 0.1, 30.0


class Backoff:
    """Counts the crashes of each place, by its number."""

    __slots__ = ("_crashes", "total")

    def __init__(self) -> None:
        self._crashes: dict[int, int] = {}
        self.total = 0  #: Ends that nobody had asked for, of all places since the start.

    def crashes(self, number: int) -> int:
        """How often in a row the processes of a place crashed at their start."""
        return self._crashes.get(number, 0)

    def ended(self, number: int, lived: float) -> float:
        """Seconds until the next process may start in a place whose process has ended after ``lived`` seconds."""
        self.total += 1
        crashes = self._crashes.get(number, 0) + 1 if lived < YOUNG else 0
        self._crashes[number] = crashes
        return min(LAST, FIRST * 2 ** min(crashes, 16)) if crashes > 1 else 0.0
