"""What the control process does: it probes, looks for servers and rebalances, for all workers; it has no listener.

What it finds it tells its parent, which keeps it and lets the others know.  So a busy worker delays no probe, the
death of a worker forgets nothing, and its own death neither: its successor begins with what is known.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsgate.control.board import SharedPlaces
from wsgate.control.build import Builder, adopt
from wsgate.control.discovery import Discovery, Resolved, Servers
from wsgate.control.findings import pack
from wsgate.control.health import down_key
from wsgate.control.in_process import InProcessServers, load_factories
from wsgate.control.link import Link, connect
from wsgate.control.material import Material
from wsgate.control.rebalancing import Rebalancing
from wsgate.control.worker import Inheritance
from wsgate.runtime import Plan
from wsgate.transport.hub import hub_for
from wsgate.transport.openssl import Buffers
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.attempt import Dialer
from wsgate.upstream.prober import Prober, apply


def control(inherited: Inheritance, link: socket.socket, reactor: Any) -> None:
    """Probe, look for servers and rebalance until the parent ends the link."""
    process = _ControlProcess(inherited, reactor)
    reactor.callWhenRunning(process.start, link)
    reactor.run(installSignalHandlers=False)
    if process.failure is not None:
        process.failure.raiseException()


@dataclass(frozen=True, slots=True)
class _Staged:
    material: Material
    plan: Plan


class _ControlProcess:
    def __init__(self, inherited: Inheritance, reactor: Any) -> None:
        self._inherited = inherited
        self._reactor = reactor
        self._material = inherited.material
        self._places = SharedPlaces(inherited.board, inherited.row, inherited.material.slots)
        self._staged: _Staged | None = None
        self._link: Link | None = None
        self.failure: Failure | None = None

    def start(self, link: socket.socket) -> None:
        try:
            self._make()
        except Exception:
            self.failure = Failure()
            self._reactor.stop()
            return
        self._link = connect(self._reactor, link, self._obey, self._reactor.stop)
        self._follow()
        self._rebalancing.start()
        self._tell("started")

    def _make(self) -> None:
        reactor, wall, chance = self._reactor, self._inherited.wall, Random()
        hub, self._wheel = hub_for(reactor), TimerWheel(reactor)
        self._servers = InProcessServers(reactor)
        self._builder = Builder(self._wheel, lambda: datetime.fromtimestamp(wall(), UTC), chance, self._places)
        dialer = Dialer(hub, self._wheel, Buffers(hub.buffer), self._servers.connect)
        self._prober = Prober(dialer, chance, os.urandom, self._probed)
        self._discovery = Discovery(reactor, lambda: self._material, self._found)
        self._rebalancing = Rebalancing(reactor, lambda: self._material.config, self._ask_workers)
        load_factories(self._material.config, self._servers.load)
        self._plan = self._builder.plan(self._material, self._inherited.plan)
        # A server is as the last probes had it, whoever made them.
        for members in self._plan.upstreams.values():
            for state in members.group.states:
                state.up = members.options.probe is None or not self._places.count(down_key(state.key))

    def _follow(self) -> None:
        self._prober.follow(self._plan.upstreams)
        self._discovery.follow()

    # To the parent

    def _tell(self, order: str, facts: object = None) -> None:
        if self._link is not None:
            self._link.ask(order, json.dumps(facts).encode()).addErrback(lambda failure: None)

    def _probed(self, upstream: str, key: str, up: bool) -> None:
        apply(self._plan.upstreams, upstream, key, up, self._wheel.seconds())
        self._tell("probed", {"key": key, "up": up})

    def _found(self, resolved: Resolved, found: Servers) -> None:
        self._tell("found", pack(resolved, found))

    def _ask_workers(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        """The answers of all workers, by way of the parent; none where it is gone, as we are then in a moment."""
        if self._link is None:
            raise AssertionError("nobody is asked before the start")
        asked = self._link.ask("workers", json.dumps({"order": order, "facts": facts}).encode())
        return asked.addErrback(lambda failure: [])

    # From the parent

    def _obey(self, order: str, payload: bytes, sockets: dict[str, socket.socket]) -> bool | Deferred[Any]:
        for sock in sockets.values():
            sock.close()
        if order == "prepare":
            # From our parent alone, over a socket pair that nobody else has.
            material: Material = pickle.loads(payload)
            self._places.change({**self._places.slots, **material.slots})
            load_factories(material.config, self._servers.load)
            self._staged = _Staged(material, self._builder.plan(material, self._plan))
        elif order == "drop":
            self._staged = None
        elif order == "commit":
            self._commit()
        return True

    def _commit(self) -> None:
        staged, self._staged = self._staged, None
        if staged is not None:
            self._material = staged.material
            self._plan = adopt(self._plan, staged.plan, self._wheel.seconds())
            self._places.change(self._material.slots)
            self._follow()
