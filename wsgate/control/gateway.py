"""What carries traffic in one process: it serves a plan, changes to another one, drains and stops."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from wsgate.balance.places import Notes, Places
from wsgate.causes import Cause
from wsgate.config.model import Address, Config, Listener
from wsgate.control.build import Builder, adopt
from wsgate.control.doors import Doors, binds
from wsgate.control.draining import PACE, Draining
from wsgate.control.health import SharedHealth
from wsgate.control.in_process import InProcessServers, load_factories
from wsgate.control.limits import connections_that_fit
from wsgate.control.material import Material
from wsgate.control.movable import Movable
from wsgate.control.pressure import MemoryPressure
from wsgate.control.scopes import Scope, Selection
from wsgate.control.standing import Standing
from wsgate.observe.access_log import format_json, format_text
from wsgate.observe.errors import CauseLog
from wsgate.observe.log_file import LogFile
from wsgate.observe.record import AccessRecord
from wsgate.open_connections import OpenConnections
from wsgate.registry import Live
from wsgate.runtime import Plan, Runtime
from wsgate.transport.hub import hub_for
from wsgate.transport.openssl import Buffers
from wsgate.transport.pipes import PipePool
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.attempt import Dialer

_log = Logger("wsgate")
_connections_log: Any = Logger("wsgate.connections")

#: Seconds between two looks at the age of OCSP responses.
STAPLE_CHECK = 60.0


@dataclass(frozen=True, slots=True)
class _Staged:
    """A plan that is ready and waits for the word."""

    material: Material
    plan: Plan
    sockets: Mapping[str, socket.socket]


class Gateway:
    """Everything that runs in one process.  ``reactor`` is a Twisted reactor with reader and timer methods.

    ``places`` and ``clients`` count for all workers, by default for this process alone, which then ``probes`` too.
    ``before`` is a plan whose TLS contexts are used again: that of the parent, from which this process was forked.
    ``memory`` (bytes, 0: no limit) is what ``max_memory = auto`` goes by, by default what the control group may have.
    """

    def __init__(
        self,
        material: Material,
        reactor: Any,
        wall: Callable[[], float],
        *,
        places: Notes | None = None,
        clients: Places | None = None,
        before: Plan | None = None,
        number: int = 1,
        probes: bool = True,
        memory: int | None = None,
    ) -> None:
        self.material = material
        self.number = number
        self._reactor = reactor
        self._wall = wall
        self._random = Random()
        self._staged: _Staged | None = None
        self._drainings: dict[Draining, Scope | None] = {}
        self._access_log: LogFile | None = None
        self._causes = CauseLog(_connections_log, reactor)
        self._stopping: Deferred[None] | None = None
        self._retired = False
        hub = self._hub = hub_for(reactor)
        wheel = TimerWheel(reactor)
        buffers = Buffers(hub.buffer)
        self._in_process = InProcessServers(reactor)
        self._builder = Builder(wheel, lambda: datetime.fromtimestamp(wall(), UTC), self._random, places)
        self.runtime = Runtime(
            reactor=reactor,
            hub=hub,
            wheel=wheel,
            pipes=PipePool(),
            buffers=buffers,
            dialer=Dialer(hub, wheel, buffers, self._in_process.connect),
            plan=self._builder.plan(material, before),
            log=self._record,
            wall=wall,
            random=os.urandom,
            max_connections=connections_that_fit(),
            counts=OpenConnections(places, clients),
        )
        self._doors = Doors(self.runtime)
        self._memory = MemoryPressure(self.runtime, self._doors, self._processes, group=memory)
        self._standing = Standing(self.runtime, self._random)
        self.runtime.live.entered = self._entered
        self.movable = Movable(self.runtime, number)
        self._health = SharedHealth(self.runtime, places, self._random, probes=probes)

    @property
    def config(self) -> Config:
        return self.runtime.plan.config

    # Start

    def load(self, config: Config) -> None:
        """Load the servers that live in this process.  Raises OptionError."""
        load_factories(config, self._in_process.load)

    def start(self, sockets: Mapping[str, socket.socket]) -> None:
        """Accept connections on ``sockets``, by the keys of ``binds``; they belong to the gateway from now on."""
        self.load(self.config)
        self._open_log()
        self._standing.apply(self.material.drained)
        self._doors.change(binds(self.config), sockets, self.material.drained)
        self._health.follow()
        self._memory.follow()
        self._expire_staples()

    def _processes(self) -> int:
        return self.config.gateway.workers or len(os.sched_getaffinity(0))

    def _expire_staples(self) -> None:
        """Send no OCSP response that has grown old: clients refuse a connection for it, and bear its absence."""
        now = datetime.fromtimestamp(self._wall(), UTC)
        for place in self.runtime.plan.listeners.values():
            for identity in place.names.identities if place.names is not None else ():
                if identity.staple is not None and identity.staple.expire(now):
                    _log.warn("[tls {name}] the OCSP response is out of date: not sent any more", name=identity.section)
        self.runtime.wheel.after(STAPLE_CHECK, self._expire_staples)

    def ports(self) -> dict[str, list[int]]:
        """The TCP ports that each listener is bound to; for those who asked for port 0."""
        return self._doors.ports()

    # Log

    def _open_log(self) -> None:
        path = self.config.gateway.access_log
        if path != "off":
            self._access_log = LogFile(path, self._reactor, lambda text: _log.warn("{text}", text=text))

    def _record(self, record: AccessRecord) -> None:
        self._causes.record(record)
        log, options = self._access_log, self.config.gateway
        if log is not None:
            formatted = format_json if options.access_format == "json" else format_text
            log.write(formatted(record, options.log_query))

    def reopen_log(self) -> None:
        """After a rotation: write to the file that has the name now."""
        if self._access_log is not None:
            self._access_log.reopen()

    # Reload: in two steps, so that all workers change or none

    def prepare(self, material: Material, sockets: Mapping[str, socket.socket]) -> None:
        """Build the plan of ``material`` beside the one that is served; ``sockets`` are those that are new.

        Raises WsgateError or ValueError, and then nothing has happened.
        """
        self.drop()
        self.load(material.config)
        if material.config.gateway.access_log not in {"off", self.config.gateway.access_log}:
            LogFile(material.config.gateway.access_log, self._reactor, lambda text: None).close()
        self._staged = _Staged(material, self._builder.plan(material, self.runtime.plan), sockets)

    def drop(self) -> None:
        """Forget what was prepared."""
        staged, self._staged = self._staged, None
        if staged is not None:
            for sock in staged.sockets.values():
                sock.close()

    def commit(self) -> None:
        """Serve what was prepared; cannot fail.  What is not in it any more is drained, if the policy is so."""
        staged, self._staged = self._staged, None
        if staged is None:
            return
        before = self.config
        removed = self._standing.removed(self.runtime.plan, staged.plan)
        self._standing.gave_back(self._standing.removed(staged.plan, self.runtime.plan))
        # What was drained or let in again while the reload was under way, holds.
        self.material = replace(staged.material, drained=self.material.drained)
        self.runtime.plan = adopt(self.runtime.plan, staged.plan, self.runtime.wheel.seconds())
        self._health.follow()
        if before.gateway.access_log != self.config.gateway.access_log:
            if self._access_log is not None:
                self._access_log.close()
                self._access_log = None
            self._open_log()
        self._standing.apply(self.material.drained)
        if not self._retired and self._stopping is None:
            self._doors.change(binds(self.config), staged.sockets, self.material.drained)
        self._memory.follow()
        for connection in list(self.runtime.live.connections):
            connection.dismiss(self.runtime.plan)
        if removed and self.config.gateway.removed == "drain":
            self._standing.took_away(removed)
            # Those under way are told apart when they enter; others come for what the next reload gives back.
            self._drain(lambda live: any(scope.covers(live) for scope in removed), Cause.DRAINED).let_in()

    # Drain

    def hold(self, scope: Scope) -> None:
        """Take nothing new for ``scope``."""
        self.material = replace(self.material, drained=self.material.drained | {scope})
        self._stand()

    def drain(self, scope: Scope) -> Deferred[int]:
        """Take nothing new for ``scope`` and end what is there; fires with the number of connections closed."""
        self.hold(scope)
        for connection in list(self.runtime.live.connections):
            if scope in {Scope("gateway"), Scope("listener", connection.listener_name)}:
                connection.stop()
        wheel = self.runtime.wheel
        late = wheel.seconds() + self.config.gateway.drain_timeout

        def done() -> bool:
            is_back = scope not in self.material.drained
            return is_back or self._standing.is_quiet(scope) or wheel.seconds() >= late

        return self._drain(scope.covers, Cause.DRAINED, scope, done=done).finished

    def _entered(self, live: Live) -> None:
        """A connection whose handshake was under way when its part was drained goes as those before it."""
        if self._standing.is_leaving(live, self.material.drained):
            self.runtime.wheel.after(0.0, lambda: self._drain_late(live))

    def _drain_late(self, live: Live) -> None:
        self._drain(lambda one: one is live, Cause.DRAINED)

    def undrain(self, scope: Scope) -> None:
        """Take new connections again; those that are being closed go nevertheless."""
        self.material = replace(self.material, drained=self.material.drained - {scope})
        for draining, what in self._drainings.items():
            if what == scope:
                draining.let_in()
        self._stand()

    def _stand(self) -> None:
        self._standing.apply(self.material.drained)
        if not self._retired and self._stopping is None:
            self._doors.change(binds(self.config), {}, self.material.drained)

    def _drain(
        self, covers: Callable[[Live], bool], cause: Cause, scope: Scope | None = None, **bounds: Any
    ) -> Draining:
        options = self.config.gateway
        pace = PACE / self._processes()
        facts = {"spread": options.close_spread, "timeout": options.drain_timeout, "pace": pace, **bounds}
        draining = Draining(
            self.runtime.live,
            self.runtime.wheel,
            self._random,
            covers,
            cause=cause,
            reason=options.drain_reason,
            **facts,
        )
        self._drainings[draining] = scope
        draining.finished.addCallback(self._drained, draining)
        draining.start()
        return draining

    def _drained(self, closed: int, draining: Draining) -> int:
        del self._drainings[draining]
        return closed

    def kick(self, selection: Selection) -> int:
        """Close the chosen connections at once, WebSockets with 1008; how many there were."""
        chosen = [live for live in self.runtime.live if selection.chooses(live, f"{self.number}.{live.number}")]
        for live in chosen:
            live.close(Cause.KICKED)
        return len(chosen)

    # Stop

    def retire(self, *, gently: bool = True) -> None:
        """Accept no more; what is open goes on until it ends by itself."""
        self._retired = True
        self._doors.close()
        for connection in list(self.runtime.live.connections):
            connection.stop(gently=gently)

    @property
    def idle(self) -> bool:
        """Whether nobody is connected."""
        return not self.runtime.live.connections

    def stop(self, *, at_once: bool = False) -> Deferred[None]:
        """Stop accepting, close every connection in an orderly way, and force what is left at the drain time-out."""
        if self._stopping is None:
            self._stopping = Deferred()
            self.drop()
            self.retire(gently=False)
            for draining in self._drainings:
                draining.stop()
            draining = self._drain(lambda live: True, Cause.STOPPING, done=lambda: self.idle)
            draining.finished.addCallback(self._finish)
            self._last = draining
            self.runtime.wheel.after(self.config.gateway.drain_timeout, self._force)
        if at_once:
            self._force()
        return self._stopping

    def _force(self) -> None:
        for connection in list(self.runtime.live.connections):
            connection.abort()
        self._last.hurry()

    def _finish(self, _: int) -> None:
        runtime = self.runtime
        self._health.stop()
        for members in runtime.plan.upstreams.values():
            members.idle.close()
        self._in_process.close()
        self._causes.close()
        if self._access_log is not None:
            self._access_log.close()
        runtime.pipes.close()
        runtime.wheel.close()
        # Legs of idle connections close at the end of this turn of the hub.
        self._reactor.callLater(0, self._hub.close)
        if self._stopping is not None:
            self._stopping.callback(None)

    # Facts

    def status(self, *, connections: bool = False) -> dict[str, Any]:
        """What an operator asks: numbers of this process, as JSON has them."""
        runtime = self.runtime
        now = runtime.wheel.seconds()
        facts: dict[str, Any] = {
            "worker": self.number,
            "pid": os.getpid(),
            "connections": len(runtime.live.connections),
            "relayed": len(runtime.live),
            "retired": self._retired,
            "memory": self._memory.facts(),
            "listeners": {name: place.open for name, place in runtime.plan.listeners.items()},
            "upstreams": {name: self._standing.servers(m, now) for name, m in runtime.plan.upstreams.items()},
            "waiting": {name: m.waiting for name, m in runtime.plan.upstreams.items()},
        }
        if connections:
            facts["live"] = [
                {
                    "id": f"{self.number}.{live.number}",
                    "client": live.client,
                    "listener": live.listener,
                    "route": live.route,
                    "upstream": live.upstream,
                    "server": live.server,
                    "age": round(now - live.since, 1),
                }
                for live in runtime.live
            ]
        return facts


def addresses(config: Config, sockets: Mapping[str, socket.socket]) -> list[str]:
    """What can be opened, in words: one line for each bound socket."""
    return [_line(listener, sockets[key].getsockname()) for key, (listener, _) in binds(config).items()]


def _line(listener: Listener, name: object) -> str:
    if isinstance(name, tuple):
        local = name[0] in {"0.0.0.0", "::", "127.0.0.1", "::1"}
        where = str(Address("localhost" if local else name[0], name[1]))
    else:
        where = f"unix:{name}"
    http = listener.mode == "http"
    scheme = ("http" if http else "tcp") + ("s" if listener.tls else "")
    return f"listener {listener.name}: {scheme}://{where}{'/' if http else ''}"
