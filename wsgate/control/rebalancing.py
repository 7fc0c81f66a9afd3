"""Moving WebSockets gently to a server that came back or was added: Close 1012, oldest first, a few a second."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from wsgate.balance.rebalancing import giver, has_enough, serving, share
from wsgate.balance.servers import ServerState
from wsgate.causes import Cause
from wsgate.relay.tunnel import Tunnel
from wsgate.runtime import Runtime
from wsgate.transport.wheel import Timer
from wsgate.upstream.members import UpstreamMembers

_log = Logger("wsgate.control")

#: Seconds between two looks at who serves.
LOOK = 0.5

#: Seconds after which a server that has not got its share is left to new connections.
PATIENCE = 600.0


class Rebalancing:
    """Looks after the upstreams with ``rebalance`` from ``start`` to ``stop``; ``workers`` do so, each its part."""

    def __init__(self, runtime: Runtime, workers: Callable[[], int]) -> None:
        self._runtime = runtime
        self._workers = workers
        self._known: dict[str, _Upstream] = {}
        self._timer: Timer | None = None

    def start(self) -> None:
        self._look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._runtime.wheel.after(LOOK, self._look)
        upstreams = self._runtime.plan.upstreams
        for name in [name for name in self._known if name not in upstreams or not upstreams[name].options.rebalance]:
            del self._known[name]
        for name, members in upstreams.items():
            if members.options.rebalance:
                known = self._known.get(name)
                if known is None:
                    known = self._known[name] = _Upstream(self._runtime, members)
                known.look(members.options.rebalance * LOOK / self._workers())


class _Upstream:
    """One upstream: who served at the last look, and who lacks connections since when."""

    def __init__(self, runtime: Runtime, members: UpstreamMembers) -> None:
        self._runtime = runtime
        self._members = members
        self._before: set[ServerState] | None = None
        self._lacking: dict[ServerState, float] = {}
        self._owed = 0.0
        self._told: set[int] = set()

    def look(self, allowed: float) -> None:
        """Notice who came, and close what may be closed now: ``allowed`` connections, which may be less than one."""
        now, states = self._runtime.wheel.seconds(), self._members.group.states
        among = serving(states, now)
        for state in set(among) - self._before if self._before is not None else ():
            self._lacking[state] = now
        self._before = set(among)
        self._lacking = {
            state: since
            for state, since in self._lacking.items()
            if state in self._before and now - since < PATIENCE and not has_enough(state, among)
        }
        if not self._lacking:
            self._owed = 0.0
            self._told.clear()
            return
        self._owed += allowed
        while self._owed >= 1 and self._move(among):
            self._owed -= 1

    def _move(self, among: list[ServerState]) -> bool:
        state = giver(among, self._lacking)
        if state is None:
            return False
        name, server = self._members.options.name, str(state.server)
        # Those that were told and are still there will have gone soon.
        leaving = sum(self._runtime.live.find(number) is not None for number in self._told)
        if leaving >= max(1.0, state.conns - share(state, among)):
            return False
        for live in self._runtime.live:
            is_ours = live.upstream == name and live.server == server and live.number not in self._told
            # Layer 4 and tunnels have no Close to say: their clients would see a loss.
            if is_ours and not isinstance(live.relay, Tunnel):
                self._told.add(live.number)
                _log.debug("upstream {upstream}: a client of {server} is moved", upstream=name, server=server)
                live.close(Cause.REBALANCED)
                return True
        return False
