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

from twisted.internet.defer import Deferred, DeferredList, execute, gatherResults

from wsgate.config.model import App
from wsgate.control.board import Board, SharedPlaces
from wsgate.control.build import Builder
from wsgate.control.control_process import control
from wsgate.control.demo_apps import DemoApps
from wsgate.control.discovery import Resolved, Servers
from wsgate.control.findings import unpack
from wsgate.control.hand import APPS, CONTROL, Hand, says_nothing
from wsgate.control.health import down_key
from wsgate.control.in_process import find_factory, load_factories
from wsgate.control.material import Material
from wsgate.control.scopes import Scope, ScopeError
from wsgate.control.staff import Staff
from wsgate.control.verdicts import Verdicts
from wsgate.control.worker import Inheritance, serve
from wsgate.open_connections import ALL, listener_key
from wsgate.runtime import Plan
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.waiting import waiting_keys

#: Seconds between two questions whether a worker still turns.
BEAT = 1.0

#: What the control process may ask of workers: who is where, and that some move.
MOVING = frozenset({"loads", "oldest", "move"})

#: Seconds that a worker may take beyond the drain time-out before it is killed.
GRACE = 5.0


class Crew:
    """The processes of this parent, which accepts nothing, starts no thread and carries no traffic."""

    def __init__(self, reactor: Any, wall: Callable[[], float]) -> None:
        self._reactor = reactor
        self._wall = wall
        self._board = Board(os.urandom(16))
        # The parent counts too: what is said of servers must not go with any other process.
        self._places = SharedPlaces(self._board, self._board.take_row(), {})
        self._verdicts = Verdicts(self._places)
        self._builder = Builder(TimerWheel(reactor), lambda: datetime.fromtimestamp(wall(), UTC), Random())
        self._material: Material | None = None
        self._plan: Plan | None = None
        self._staged: tuple[Material, Plan] | None = None
        self._sockets: Mapping[str, socket.socket] = {}
        self._staff = Staff(reactor, self._fork, self._ended)
        self._apps: tuple[App, ...] = ()
        self._publish: Callable[[Resolved, Servers], None] = lambda resolved, found: None
        self._stopping: Deferred[None] | None = None
        self._started: Deferred[None] = Deferred()

    # Workers: what the supervisor asks

    def build(self, material: Material) -> Material:
        plan = self._check(material, None)
        self._material, self._plan = replace(material, slots=self._board.assign(_keys(plan), {})), plan
        self._places.change(self._material.slots)
        return self._material

    def _check(self, material: Material, before: Plan | None) -> Plan:
        """The plan of the parent: for what can be wrong with the material, and for the contexts of later workers."""
        load_factories(material.config, find_factory)
        return self._builder.plan(material, before)

    def start(self, sockets: Mapping[str, socket.socket]) -> Deferred[None]:
        self._sockets = sockets
        # Not before the reactor runs: until then twistd may fork or give up its user.
        self._reactor.callWhenRunning(self._resize)
        self._reactor.callWhenRunning(self._beat)
        return self._started

    def discover(self, publish: Callable[[Resolved, Servers], None]) -> None:
        self._publish = publish

    def run(self, blocking: Callable[[], Any]) -> Deferred[Any]:
        # No thread: a fork would take its locks along.  Workers do not wait for the parent.
        return execute(blocking)

    def run_apps(self, apps: Iterable[App]) -> None:
        """Run the demo servers in a process of their own; another one when they change."""
        self._reactor.callWhenRunning(self._change_apps, tuple(apps))

    def _change_apps(self, wanted: tuple[App, ...]) -> None:
        if wanted != self._apps:
            self._apps = wanted
            self._staff.kill(APPS)
            self._resize()

    def prepare(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[Any]:
        plan = self._check(material, self._plan)
        material = replace(material, slots=self._board.assign(_keys(plan), self._current().slots))
        self._staged = material, plan
        self._staff.hold()
        payload = pickle.dumps(material)
        asked = []
        for hand in self._staff.followers:
            if hand.number != CONTROL:
                for key, sock in added.items():
                    hand.link.give(key, sock)
            asked.append(hand.link.ask("prepare", payload).addErrback(hand.unless_gone))
        return gatherResults(asked, consumeErrors=True).addCallbacks(lambda _: material, _first_error)

    def commit(self) -> Deferred[Any]:
        if self._staged is not None:
            material, self._plan = self._staged
            self._material = replace(material, drained=self._current().drained)
            self._verdicts.keep(set(_probed(self._plan)))
            self._places.change(self._material.slots)
        return self._end_reload("commit")

    def drop(self) -> Deferred[Any]:
        return self._end_reload("drop")

    def _end_reload(self, order: str) -> Deferred[Any]:
        done = self._all(self._staff.followers, order, {})
        return done.addCallback(lambda _: self._through())

    def _through(self) -> None:
        """A reload is over: start who is due, and as many workers as are wanted now."""
        self._staged = None
        self._resize()
        self._staff.go_on()

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        """The answers of all workers that live until they have answered."""
        if order in {"hold", "undrain"}:
            # For workers that start later.
            drained, scope = self._current().drained, {Scope.of(facts)}
            self._material = replace(self._current(), drained=drained | scope if order == "hold" else drained - scope)
        return self._all(self._staff.workers, order, facts)

    def _all(self, hands: Iterable[Hand], order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        payload = json.dumps(dict(facts)).encode()
        asked = [hand.link.ask(order, payload) for hand in hands]
        return DeferredList(asked, consumeErrors=True).addCallback(
            lambda results: [answer for done, answer in results if done]
        )

    def drain_worker(self, number: int) -> Deferred[int]:
        """End one worker in good order; unless it was retired another one takes its place at once."""
        hand = next((hand for hand in self._staff.workers if hand.number == number), None)
        if hand is None:
            known = ", ".join(str(hand.number) for hand in self._staff.workers)
            raise ScopeError(f"there is no worker {number}; known: {known or 'none'}")
        self._staff.replace(hand)
        hand.link.ask("stop").addErrback(lambda failure: None)
        gone: Deferred[int] = Deferred()

        def ended(found: Hand) -> Hand:
            gone.callback(1)
            return found

        hand.ended.addCallback(ended)
        return gone

    def stop(self, *, at_once: bool = False) -> Deferred[Any]:
        if self._stopping is None:
            self._stopping = Deferred()
            self._staff.stop()
            self._staff.tell(APPS, "leave")
            timeout = self._current().config.gateway.drain_timeout + GRACE
            self._deadline = self._reactor.callLater(timeout, self._staff.kill)
        self.ask("stop", {"at_once": at_once})
        self._look_whether_ended()
        return self._stopping

    # The processes

    def _current(self) -> Material:
        if self._material is None:
            raise AssertionError("nothing was built")
        return self._material

    def _resize(self) -> None:
        others = {CONTROL, APPS} if self._apps else {CONTROL}
        self._staff.want(self._current().config.gateway.workers or len(os.sched_getaffinity(0)), others)

    def _fork(self, number: int) -> Hand:
        if number == APPS:
            apps = self._apps
            return Hand.fork(APPS, -1, self._reactor, lambda link, reactor: _run_apps(apps, link, reactor), ())
        plan, row = self._plan, self._board.take_row()
        if plan is None:
            raise AssertionError("nothing was built")
        # The control process has no listener.
        sockets = dict(self._sockets) if number != CONTROL else {}
        main = serve if number != CONTROL else control
        inherited = Inheritance(number, row, self._current(), plan, sockets, self._board, self._wall)
        try:
            return Hand.fork(
                number,
                row,
                self._reactor,
                lambda link, reactor: main(inherited, link, reactor),
                sockets.values(),
                started=self._look_whether_begun,
                heard=self._heard if number == CONTROL else says_nothing,
            )
        except OSError:
            self._board.give_row_back(row)
            raise

    def _heard(self, order: str, facts: Any) -> Any:
        """What the control process found, or asks of the workers."""
        if order == "probed":
            if facts["key"] in _probed(self._plan):
                self._verdicts.heard(str(facts["key"]), bool(facts["up"]))
        elif order == "found":
            self._publish(*unpack(facts))
        elif order == "workers" and facts["order"] in MOVING:
            return self.ask(facts["order"], facts["facts"])
        else:
            says_nothing(order, facts)
        return None

    def _look_whether_begun(self) -> None:
        if not self._started.called and self._staff.begun:
            self._started.callback(None)

    def _ended(self, hand: Hand) -> None:
        if hand.row >= 0:
            self._board.give_row_back(hand.row)
        if self._stopping is None:
            self._look_whether_begun()
        else:
            self._look_whether_ended()

    def _look_whether_ended(self) -> None:
        if self._staff.empty and self._stopping is not None and not self._stopping.called:
            self._staff.kill()
            self._deadline.cancel() if self._deadline.active() else None
            self._stopping.callback(None)

    def _beat(self) -> None:
        """Ask every process whether it turns; one that does not answer in time is replaced."""
        limit = self._current().config.gateway.worker_timeout
        for hand in self._staff.everyone:
            hand.beat(limit / BEAT)
        self._reactor.callLater(BEAT, self._beat)

    def facts(self) -> dict[str, Any]:
        hand, now = self._staff.control, self._reactor.seconds()
        facts = {"pid": hand.pid, "uptime": round(now - hand.since, 1)} if hand is not None else None
        return {"control": facts, "crashes": self._staff.backoff.total}


def _probed(plan: Plan | None) -> list[str]:
    """The keys of the servers that are probed."""
    upstreams = plan.upstreams.values() if plan is not None else ()
    return [state.key for members in upstreams if members.options.probe for state in members.group.states]


def _keys(plan: Plan) -> list[str]:
    """What is counted on the board."""
    servers = [state.key for members in plan.upstreams.values() for state in members.group.states]
    waiting = [key for name in plan.upstreams for key in waiting_keys(name)]
    return [ALL, *map(listener_key, plan.listeners), *servers, *map(down_key, _probed(plan)), *waiting]


def _first_error(failure: Any) -> Any:
    """What went wrong in one worker, without the wrapping of many."""
    return getattr(failure.value, "subFailure", failure)


def _run_apps(apps: tuple[App, ...], link: socket.socket, reactor: Any) -> None:
    """The process of the demo servers; it ends with its parent."""
    running = DemoApps(reactor)
    reactor.callWhenRunning(running.change, apps)
    from wsgate.control.link import connect

    def obey(order: str, payload: bytes, sockets: object) -> bool:
        if order == "leave":
            running.leave()
        return True

    reactor.callWhenRunning(lambda: connect(reactor, link, obey, reactor.stop))
    reactor.run(installSignalHandlers=False)
