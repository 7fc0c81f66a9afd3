"""``workers = N``: processes that were forked from this one, kept alive and changed together."""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, execute, gatherResults, succeed
from twisted.logger import Logger

from wsgate.config.model import App
from wsgate.control.board import Board
from wsgate.control.build import Builder
from wsgate.control.demo_apps import DemoApps
from wsgate.control.hand import Hand, State
from wsgate.control.health import down_key
from wsgate.control.in_process import find_factory
from wsgate.control.material import Material
from wsgate.control.scopes import Scope, ScopeError
from wsgate.control.worker import Inheritance, serve
from wsgate.open_connections import ALL, listener_key
from wsgate.runtime import Plan
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.waiting import waiting_keys

_log = Logger("wsgate.control")

#: Seconds between two questions whether a worker still turns.
BEAT = 1.0

#: A worker that lived less long (seconds) crashed at its start; those are started ever later, up to LAST seconds.
YOUNG = 1.0
FIRST, LAST = 0.1, 30.0

#: Seconds that a worker may take beyond the drain time-out before it is killed.
GRACE = 5.0


class Crew:
    """The workers of this parent.  The parent accepts nothing, starts no thread and carries no traffic."""

    def __init__(self, reactor: Any, wall: Callable[[], float]) -> None:
        self._reactor = reactor
        self._wall = wall
        self._board = Board(os.urandom(16))
        self._builder = Builder(TimerWheel(reactor), lambda: datetime.fromtimestamp(wall(), UTC), Random())
        self._material: Material | None = None
        self._plan: Plan | None = None
        self._staged: tuple[Material, Plan] | None = None
        self._sockets: Mapping[str, socket.socket] = {}
        self._hands: list[Hand] = []
        self._crashes: dict[int, int] = {}
        self._late: list[int] = []  # to be started when a reload is through
        self._apps: Hand | None = None
        self._stopping: Deferred[None] | None = None
        self._started: Deferred[None] = Deferred()

    # Workers: what the supervisor asks

    def build(self, material: Material) -> Material:
        plan = self._check(material, None)
        self._material, self._plan = replace(material, slots=self._board.assign(_keys(plan), {})), plan
        return self._material

    def _check(self, material: Material, before: Plan | None) -> Plan:
        """The plan of the parent: for what can be wrong with the material, and for the contexts of later workers."""
        for upstream in material.config.upstreams.values():
            for server in upstream.servers:
                if server.factory:
                    find_factory(server.factory)
        return self._builder.plan(material, before)

    def start(self, sockets: Mapping[str, socket.socket]) -> Deferred[None]:
        self._sockets = sockets
        # Not before the reactor runs: until then twistd may fork or give up its user.
        self._reactor.callWhenRunning(self._resize)
        self._reactor.callWhenRunning(self._beat)
        return self._started

    def run(self, blocking: Callable[[], Any]) -> Deferred[Any]:
        # No thread: a fork would take its locks along.  Workers do not wait for the parent.
        return execute(blocking)

    def run_apps(self, apps: Iterable[App]) -> None:
        """Run the demo servers in a process of their own; another one when they change."""
        wanted = tuple(apps)
        self._reactor.callWhenRunning(self._change_apps, wanted)

    def _change_apps(self, wanted: tuple[App, ...]) -> None:
        if self._apps is not None:
            self._apps.kill()
            self._apps = None
        if wanted and self._stopping is None:
            self._apps = Hand.fork(0, -1, self._reactor, lambda link, reactor: _run_apps(wanted, link, reactor), ())

    def prepare(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[Any]:
        plan = self._check(material, self._plan)
        material = replace(material, slots=self._board.assign(_keys(plan), self._current().slots))
        self._staged = material, plan
        payload = pickle.dumps(material)
        asked = []
        for hand in self._living():
            for key, sock in added.items():
                hand.link.give(key, sock)
            asked.append(hand.link.ask("prepare", payload).addErrback(hand.unless_gone))
        return gatherResults(asked, consumeErrors=True).addCallbacks(lambda _: material, _first_error)

    def commit(self) -> Deferred[Any]:
        if self._staged is not None:
            material, self._plan = self._staged
            self._material = replace(material, drained=self._current().drained)
        done = self.ask("commit", {})
        return done.addCallback(lambda _: self._through())

    def drop(self) -> Deferred[Any]:
        done = self.ask("drop", {})
        return done.addCallback(lambda _: self._through())

    def _through(self) -> None:
        """A reload is over: start who died meanwhile, and as many workers as are wanted now."""
        self._staged = None
        late, self._late = self._late, []
        for number in late:
            self._replace(number)
        self._resize()

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        """The answers of all that live until they have answered."""
        if order in {"hold", "undrain"}:
            # For workers that start later.
            drained, scope = self._current().drained, {Scope.of(facts)}
            self._material = replace(self._current(), drained=drained | scope if order == "hold" else drained - scope)
        payload = json.dumps(dict(facts)).encode()
        asked = [hand.link.ask(order, payload) for hand in self._living()]
        return DeferredList(asked, consumeErrors=True).addCallback(
            lambda results: [answer for done, answer in results if done]
        )

    def drain_worker(self, number: int) -> Deferred[int]:
        """End one worker in good order; unless it was retired another one takes its place."""
        hand = next((hand for hand in self._living() if hand.number == number), None)
        if hand is None:
            raise ScopeError(f"there is no worker {number}")
        hand.link.ask("stop").addErrback(lambda failure: None)
        return hand.ended.addCallback(lambda _: 1)

    def stop(self, *, at_once: bool = False) -> Deferred[Any]:
        if self._stopping is None:
            self._stopping = Deferred()
            for hand in self._living():
                hand.state = State.STOPPING
            timeout = self._current().config.gateway.drain_timeout + GRACE
            self._deadline = self._reactor.callLater(timeout, self._kill)
            self._change_apps(())
        self.ask("stop", {"at_once": at_once})
        self._look_whether_ended()
        return self._stopping

    def _kill(self) -> None:
        for hand in self._living():
            hand.kill()

    # How many there are

    def _current(self) -> Material:
        if self._material is None:
            raise AssertionError("nothing was built")
        return self._material

    def _living(self) -> list[Hand]:
        return [hand for hand in self._hands if hand.linked]

    def _resize(self) -> None:
        """Start or retire workers until there are as many as the configuration wants."""
        if self._stopping is not None:
            return
        wanted = self._current().config.gateway.workers or len(os.sched_getaffinity(0))
        serving = {hand.number for hand in self._living() if hand.state is State.SERVING}
        for number in sorted(serving)[wanted:]:
            hand = next(hand for hand in self._living() if hand.number == number)
            hand.state = State.RETIRED
            hand.link.ask("retire").addErrback(lambda failure: None)
            _log.info("worker {number} takes nothing new, it ends with its last connection", number=number)
        numbers = (number for number in range(1, 1000) if number not in {hand.number for hand in self._living()})
        for _ in range(wanted - len(serving)):
            self._fork(next(numbers))

    def _fork(self, number: int) -> None:
        plan, row = self._plan, self._board.take_row()
        if plan is None:
            raise AssertionError("nothing was built")
        inherited = Inheritance(number, row, self._current(), plan, dict(self._sockets), self._board, self._wall)
        hand = Hand.fork(
            number,
            row,
            self._reactor,
            lambda link, reactor: serve(inherited, link, reactor),
            inherited.sockets.values(),
            started=self._one_started,
        )
        self._hands.append(hand)
        hand.ended.addCallback(self._ended)

    def _one_started(self) -> None:
        if not self._started.called and all(hand.started for hand in self._hands):
            self._started.callback(None)

    def _ended(self, hand: Hand) -> Hand:
        self._hands.remove(hand)
        self._board.give_row_back(hand.row)
        young = self._reactor.seconds() - hand.since < YOUNG
        if self._stopping is not None:
            self._look_whether_ended()
        elif hand.state is State.SERVING:
            crashes = self._crashes[hand.number] = self._crashes.get(hand.number, 0) + 1 if young else 0
            delay = min(LAST, FIRST * 2 ** min(crashes, 16)) if crashes > 1 else 0.0
            _log.warn(
                "worker {number} (process {pid}) {how}; another one starts{when}",
                number=hand.number,
                pid=hand.pid,
                how=hand.how,
                when=f" in {delay:.1f} s" if delay else "",
            )
            self._reactor.callLater(delay, self._replace, hand.number)
        return hand

    def _replace(self, number: int) -> None:
        if self._staged is not None:
            # Forked now it would have the old material, and know nothing of what is being prepared.
            self._late.append(number)
        elif self._stopping is None:
            self._resize()

    def _look_whether_ended(self) -> None:
        if not self._hands and self._stopping is not None and not self._stopping.called:
            self._deadline.cancel() if self._deadline.active() else None
            self._stopping.callback(None)

    def _beat(self) -> None:
        """Ask every worker whether it turns; one that does not answer in time is replaced."""
        limit = self._current().config.gateway.worker_timeout
        for hand in self._living():
            hand.beat(limit / BEAT)
        self._reactor.callLater(BEAT, self._beat)

    def facts(self) -> dict[str, Any]:
        """What an operator asks about processes."""
        return {"crashes": sum(self._crashes.values())}


def _keys(plan: Plan) -> list[str]:
    """What is counted on the board."""
    servers = [state.key for members in plan.upstreams.values() for state in members.group.states]
    probed = [
        down_key(state.key)
        for members in plan.upstreams.values()
        if members.options.probe is not None
        for state in members.group.states
    ]
    waiting = [key for name in plan.upstreams for key in waiting_keys(name)]
    return [ALL, *(listener_key(name) for name in plan.listeners), *servers, *probed, *waiting]


def _first_error(failure: Any) -> Any:
    """What went wrong in one worker, without the wrapping of many."""
    return getattr(failure.value, "subFailure", failure)


def _run_apps(apps: tuple[App, ...], link: socket.socket, reactor: Any) -> None:
    """The process of the demo servers; it ends with its parent."""
    running = DemoApps(reactor)
    reactor.callWhenRunning(running.change, apps)
    from wsgate.control.link import connect

    def refuse(order: str, payload: bytes, sockets: object) -> Deferred[bool]:
        return succeed(True)

    reactor.callWhenRunning(lambda: connect(reactor, link, refuse, reactor.stop))
    reactor.run(installSignalHandlers=False)
