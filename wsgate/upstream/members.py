"""One upstream at run time: its options, its servers' states, its TLS and its idle connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import Logger

from wsgate.balance.ejection import ended, is_trouble
from wsgate.balance.group import Group
from wsgate.balance.retry import Attempts, RetryBudget, RetryRules, parse_retry, trouble_of_status
from wsgate.balance.servers import ServerState
from wsgate.balance.sticky import Bindings
from wsgate.causes import Cause, Side
from wsgate.config.model import Upstream
from wsgate.relay.interfaces import Ending
from wsgate.tls.towards_servers import UpstreamTlsContext
from wsgate.transport.hub import Hub
from wsgate.transport.interfaces import Leg
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.idle import IdleConnections
from wsgate.upstream.waiting import WaitingRoom, waiting_keys

_log = Logger("wsgate.upstream")


@dataclass(slots=True)
class UpstreamMembers:
    """What a configuration's upstream becomes.  ``tls`` is None where its servers are spoken to in the clear.

    A reload sets ``options`` anew; what is made from them follows at the next request.
    """

    options: Upstream
    group: Group
    tls: UpstreamTlsContext | None
    idle: IdleConnections
    bindings: Bindings | None = None
    #: Whether some of its servers are still to be found: DNS has not said anything yet.
    awaited: bool = False
    _made_from: Upstream | None = field(default=None, init=False)
    _rules: RetryRules = field(default_factory=RetryRules, init=False)
    _budget: RetryBudget | None = field(default=None, init=False)
    _room: WaitingRoom | None = field(default=None, init=False)

    @property
    def rules(self) -> RetryRules:
        """When a failed attempt may go on to the next server."""
        options = self.options
        if self._made_from is not options:
            on, non_idempotent = parse_retry(options.next_on)
            self._rules = RetryRules(on, non_idempotent, options.tries, options.try_timeout)
            self._made_from = options
            self._budget = None
        return self._rules

    def attempts(self, now: float) -> Attempts:
        """The attempts for one request or connection that comes at ``now``."""
        rules = self.rules
        if self._budget is None:
            self._budget = RetryBudget(now, share=self.options.retry_budget)
        return Attempts(rules, self._budget, now)

    def room(self, hub: Hub, wheel: TimerWheel) -> WaitingRoom:
        """Where to wait for a free place."""
        if self._room is None:
            self._room = WaitingRoom(hub, wheel, self.group.places, self.options.name)
            self.group.freed = self._room.freed
        return self._room

    @property
    def waiting(self) -> int:
        """How many wait for a place, in all workers."""
        return self.group.places.count(waiting_keys(self.options.name)[0])

    def keep(self, state: ServerState, leg: Leg) -> None:
        """An exchange has left ``leg`` fit for another; one with a PROXY header belongs to its client for ever."""
        if self.options.proxy_protocol == "off":
            self.idle.keep(state.name, leg)
        else:
            leg.loseConnection()

    def answered(self, state: ServerState, status: int, now: float) -> None:
        """A server has answered a request; some answers are failures where the operator lists them."""
        trouble = trouble_of_status(status)
        if trouble is not None and self.rules.is_failure(trouble):
            state.failed(now)
        else:
            state.succeeded(now)

    def closed(self, state: ServerState, now: float, age: float, ending: Ending) -> None:
        """A WebSocket of a server has ended after ``age`` seconds: too many that end badly at once eject the server."""
        rules = self.options.eject
        if rules is None:
            return
        by_server = ending.closed_by is Side.SERVER
        if ending.cause is Cause.SERVER_CLOSED:
            # Where no frames are seen there is no code, and nothing to be said against the server.
            by_server = by_server and ending.code is not None and is_trouble(ending.code)
        if ended(rules, self.group.states, state, now, age, by_server):
            _log.warn(
                "upstream {upstream}: {server} is left out for {time:.0f} s: {count} WebSockets in a row ended badly"
                " within {early:g} s",
                upstream=self.options.name,
                server=state.name,
                time=state.ejected_until - now,
                count=rules.strikes,
                early=rules.early,
            )
