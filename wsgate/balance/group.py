"""The servers of one upstream, and the order in which a connection or request tries them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from wsgate.balance.consistent_hash import consistent_hash
from wsgate.balance.least_conn import least_conn
from wsgate.balance.method import Balance, Method, parse_balance
from wsgate.balance.places import LocalPlaces, Notes
from wsgate.balance.random_two import random_two
from wsgate.balance.round_robin import round_robin
from wsgate.balance.servers import ServerState
from wsgate.config.model import Server

Choice = Callable[[Sequence[ServerState]], ServerState]

_CHOICES: dict[Method, Choice] = {
    Method.LEAST_CONN: least_conn,
    Method.FIRST: lambda candidates: candidates[0],
}


class Group:
    """Servers with their states.  ``name`` keeps the counts of two upstreams with the same server apart in ``places``.

    Raises ValueError for a ``balance`` that ``parse_balance`` does not know.
    """

    __slots__ = ("_backup", "_primary", "_rng", "balance", "freed", "name", "places", "states")

    def __init__(
        self,
        servers: Sequence[Server],
        balance: str,
        rng: Random,
        places: Notes | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.places: Notes = LocalPlaces() if places is None else places
        self._rng = rng
        self.balance: Balance
        #: Called when a server has a free place again, and when there are other servers.
        self.freed: Callable[[], None] | None = None
        self.states: tuple[ServerState, ...] = ()
        self.reconfigure(servers, balance)

    def reconfigure(self, servers: Sequence[Server], balance: str, now: float | None = None) -> None:
        """Take over other options.  What is known of a server whose address stays is kept, connections included.

        Orders that are under way end with the servers they began with.  A server that is added at ``now`` has a slow
        start.  Raises ValueError, and then nothing changed.
        """
        self.balance = parse_balance(balance)
        known = {state.key: state for state in self.states}
        states: dict[str, ServerState] = {}
        for server in servers:
            key = self._key(server, states)
            state = known.get(key)
            if state is None:
                state = ServerState(key, server, self.places)
                state.freed = self._tell_freed
                if now is not None:
                    state.warm_from = now
            else:
                state.reconfigure(server)
            state.alone = len(servers) == 1
            states[key] = state
        self.states = tuple(states.values())
        self._primary = tuple(state for state in self.states if not state.server.backup)
        self._backup = tuple(state for state in self.states if state.server.backup)
        self._tell_freed()

    def _key(self, server: Server, taken: dict[str, ServerState]) -> str:
        """What the server is counted under; an address that is listed again counts apart."""
        key = f"{self.name}/{server}"
        again = 1
        while key in taken:
            again += 1
            key = f"{self.name}/{server}#{again}"
        return key

    def order(self, now: float, key: bytes | None = None, bound: ServerState | None = None) -> Order:
        """The servers to try, each once: the eligible ones as the method has it, the backups, then ejected ones.

        ``now`` is monotonic seconds.  ``key`` is for ``hash``; without one, or with an empty one, it is round robin.
        ``bound`` is the server that the client belongs to; it comes first while it is one of the group and can serve.
        """
        if bound is not None and bound not in self.states:
            bound = None
        return Order((self._primary, self._backup), self._choice(key), now, bound)

    def is_full(self, now: float) -> bool:
        """Whether nothing but ``max_conns`` keeps some server from taking one more."""
        return any(state.would_serve(now) and not state.is_draining and not state.has_place() for state in self.states)

    def _tell_freed(self) -> None:
        if self.freed is not None:
            self.freed()

    def _choice(self, key: bytes | None) -> Choice:
        balance = self.balance
        if balance.key is not None and key:
            return lambda candidates: consistent_hash(candidates, key)
        if balance.method is Method.RANDOM_TWO:
            return lambda candidates: random_two(candidates, self._rng)
        return _CHOICES.get(balance.method, round_robin)


class Order(Iterator[ServerState]):
    """The servers for one connection or request.  A server is chosen when it is asked for, by what holds then.

    ``now`` is the time of the choice, in monotonic seconds: set it anew before asking for a later item.
    """

    __slots__ = ("_bound", "_choice", "_tiers", "_tried", "now")

    def __init__(
        self, tiers: Sequence[Sequence[ServerState]], choice: Choice, now: float, bound: ServerState | None = None
    ) -> None:
        self._tiers = tiers
        self._choice = choice
        self._bound = bound
        self._tried: list[ServerState] = []
        self.now = now

    def __next__(self) -> ServerState:
        """The next server, to be counted with ``taken`` before it is used; StopIteration when none is left."""
        now = self.now
        state, self._bound = self._bound, None
        if state is None or not state.may_keep(now):
            candidates = self._candidates()
            if not candidates:
                raise StopIteration
            for candidate in candidates:
                if candidate.server.slow_start:
                    candidate.warm_up(now)
            state = self._choice(candidates)
        state.chosen(now)
        self._tried.append(state)
        return state

    def has_next(self) -> bool:
        """Whether another server could be tried now."""
        return bool(self._candidates())

    def _candidates(self) -> list[ServerState]:
        """Those between which the method chooses: of the first tier that has any."""
        for may_serve in (ServerState.is_eligible, ServerState.is_last_resort):
            for tier in self._tiers:
                candidates = [state for state in tier if state not in self._tried and may_serve(state, self.now)]
                if candidates:
                    return candidates
        return []
