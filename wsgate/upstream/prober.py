"""Probing every server of every upstream that asks for it, and telling what that changes.

It runs once for a gateway: in the process itself where there is one, in the control process where there are workers,
which then hand on what ``Told`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from twisted.logger import Logger

from wsgate.balance.health import Health, first_probe, next_probe
from wsgate.balance.servers import ServerState
from wsgate.config.model import Probe
from wsgate.transport.wheel import Timer
from wsgate.upstream.attempt import Dialer
from wsgate.upstream.members import UpstreamMembers
from wsgate.upstream.probe import Probing

_log = Logger("wsgate.upstream")

Told = Callable[[str, str, bool], None]
"""Called with the upstream's name, the key of a server's state, and whether it is up now."""

Members = Mapping[str, UpstreamMembers]


def apply(upstreams: Members, upstream: str, key: str, up: bool, now: float) -> None:
    """Let a process know what probes say of a server; one that it does not have is passed over."""
    members = upstreams.get(upstream)
    for state in members.group.states if members is not None else ():
        if state.key == key:
            state.probed(up, now)


class Prober:
    """Watches the servers of ``upstreams`` after each ``follow``, until ``stop``."""

    __slots__ = ("_dialer", "_random", "_rng", "_tell", "_watches")

    def __init__(self, dialer: Dialer, rng: Random, random: Callable[[int], bytes], tell: Told) -> None:
        self._dialer = dialer
        self._rng = rng
        self._random = random
        self._tell = tell
        self._watches: dict[tuple[str, str], _Watch] = {}

    def follow(self, upstreams: Members) -> None:
        """Watch these servers from now on.  What is known of those that stay, and are probed as before, goes on."""
        wanted = {
            (name, state.key): (members, state, members.options.probe)
            for name, members in upstreams.items()
            if members.options.probe is not None
            for state in members.group.states
            if not state.server.down
        }
        for place, watch in list(self._watches.items()):
            if place not in wanted or wanted[place] != (watch.members, watch.state, watch.probe):
                del self._watches[place]
                watch.stop()
                if not watch.health.up and place not in wanted:
                    self._tell(*place, True)  # nobody would ever say so again
        for place, (members, state, probe) in wanted.items():
            if place not in self._watches and probe is not None:
                watch = _Watch(self, place[0], members, state, probe)
                self._watches[place] = watch
                watch.later(first_probe(probe, self._rng))

    def stop(self) -> None:
        for watch in self._watches.values():
            watch.stop()
        self._watches.clear()

    def standing(self) -> list[tuple[str, str, bool]]:
        """What is known, for a process that is new: as ``Told`` has it."""
        return [(*place, watch.health.up) for place, watch in self._watches.items()]


class _Watch:
    """One server, probed again and again."""

    __slots__ = ("_owner", "_running", "_timer", "_upstream", "health", "members", "probe", "state")

    def __init__(
        self, owner: Prober, upstream: str, members: UpstreamMembers, state: ServerState, probe: Probe
    ) -> None:
        self._owner = owner
        self._upstream = upstream
        self.members = members
        self.state = state
        self.probe = probe
        self.health = Health(probe.rise, probe.fall, state.up)
        self._timer: Timer | None = None
        self._running: Probing | None = None

    def later(self, delay: float) -> None:
        self._timer = self._owner._dialer.wheel.after(delay, self._begin)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _begin(self) -> None:
        owner = self._owner
        self._timer = None
        self._running = Probing(owner._dialer, self.members, self.state, self.probe, owner._random, self._over)
        self._running.start()

    def _over(self, wrong: str) -> None:
        self._running = None
        self.later(next_probe(self.probe, self._owner._rng))
        if not self.health.heard(not wrong):
            return
        names = {"upstream": self._upstream, "server": str(self.state.server), "wrong": wrong}
        if wrong:
            _log.warn("upstream {upstream}: {server} is down: {wrong}", **names)
        else:
            _log.info("upstream {upstream}: {server} is up again", **names)
        self._owner._tell(self._upstream, self.state.key, self.health.up)
