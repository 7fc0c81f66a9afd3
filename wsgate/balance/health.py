"""What the results of probes say of a server: down after some failures in a row, up after some successes."""

from __future__ import annotations

from random import Random

from wsgate.config.model import Probe


class Health:
    """The opinion of one server.  It is up until probes have said otherwise."""

    __slots__ = ("_against", "_fall", "_rise", "up")

    def __init__(self, rise: int, fall: int, up: bool = True) -> None:
        self._rise = rise
        self._fall = fall
        self._against = 0  # results in a row that speak against the opinion
        self.up = up

    def heard(self, passed: bool) -> bool:
        """A probe has passed or failed; True where that changes the opinion."""
        if passed is self.up:
            self._against = 0
            return False
        self._against += 1
        if self._against < (self._rise if passed else self._fall):
            return False
        self._against = 0
        self.up = passed
        return True


def next_probe(probe: Probe, rng: Random) -> float:
    """Seconds until the next probe: the interval, less or more by up to the jitter."""
    return probe.interval * (1 + probe.jitter * (2 * rng.random() - 1))


def first_probe(probe: Probe, rng: Random) -> float:
    """Seconds until the first one: soon, but not all servers at once."""
    return min(1.0, probe.interval) * rng.random()
