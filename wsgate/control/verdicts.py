"""What probes last said, kept by the parent: it outlives the process that probes and every worker that goes by it.

A server that is down is counted on the board in the parent's own row, where all look.
"""

from __future__ import annotations

from collections.abc import Container

from wsgate.balance.places import Places
from wsgate.control.health import down_key


class Verdicts:
    """The servers that are down, by the keys of their states; ``places`` are the parent's."""

    __slots__ = ("_down", "_places")

    def __init__(self, places: Places) -> None:
        self._places = places
        self._down: set[str] = set()

    def heard(self, key: str, up: bool) -> None:
        """Take over what the probes found."""
        if up and key in self._down:
            self._down.remove(key)
            self._places.give_back(down_key(key))
        elif not up and key not in self._down:
            self._down.add(key)
            self._places.take(down_key(key), 0)

    def keep(self, probed: Container[str]) -> None:
        """Forget those that are probed no more; ``probed`` are keys of states."""
        for key in [key for key in self._down if key not in probed]:
            self.heard(key, up=True)
