"""What probes say of servers: one process probes, and all look at the board where it stands.

A server that is down is counted there once, under a key of its own.  Where there are workers the parent counts it, from
what the control process tells.
"""

from __future__ import annotations

import os
from random import Random

from wsgate.balance.places import LocalPlaces, Places
from wsgate.runtime import Runtime
from wsgate.transport.wheel import Timer
from wsgate.upstream.prober import Prober, apply

#: Seconds between two looks of those who do not probe.
LOOK = 0.2


def down_key(key: str) -> str:
    """What ``Places`` counts a server that is down under; no key of a server or listener looks like it."""
    return f"down {key}"


class SharedHealth:
    """The health of one process's servers, from ``follow`` to ``stop``; ``probes``: it is this one that probes."""

    def __init__(self, runtime: Runtime, places: Places | None, rng: Random, *, probes: bool) -> None:
        self._runtime = runtime
        self._places = LocalPlaces() if places is None else places
        self._prober = Prober(runtime.dialer, rng, os.urandom, self._told) if probes else None
        self._timer: Timer | None = None

    def follow(self) -> None:
        """Take over the servers of the plan as it is now."""
        if self._prober is not None:
            self._prober.follow(self._runtime.plan.upstreams)
        if self._timer is None:
            self._look()

    def stop(self) -> None:
        if self._prober is not None:
            self._prober.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _told(self, upstream: str, key: str, up: bool) -> None:
        if up:
            self._places.give_back(down_key(key))
        else:
            self._places.take(down_key(key), 0)
        apply(self._runtime.plan.upstreams, upstream, key, up, self._runtime.wheel.seconds())

    def _look(self) -> None:
        wheel = self._runtime.wheel
        self._timer = wheel.after(LOOK, self._look)
        for members in self._runtime.plan.upstreams.values():
            probed = members.options.probe is not None
            for state in members.group.states:
                up = not probed or not self._places.count(down_key(state.key))
                if up is not state.up:
                    state.probed(up, wheel.seconds())
