"""What a forked worker does: serve, obey its parent, and end when it is told to or its parent is gone."""

from __future__ import annotations

import json
import pickle
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsgate.control.board import Board, ClientPlaces, SharedPlaces
from wsgate.control.gateway import Gateway
from wsgate.control.link import Link, connect
from wsgate.control.material import Material
from wsgate.control.orders import perform
from wsgate.control.pressure import volunteer
from wsgate.runtime import Plan

#: Seconds between two looks of a retired worker at whether somebody is left.
LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a process has from its parent; ``plan`` is the parent's, for its TLS contexts."""

    number: int
    row: int
    material: Material
    plan: Plan
    sockets: Mapping[str, socket.socket]
    board: Board
    wall: Callable[[], float]


def serve(inherited: Inheritance, link: socket.socket, reactor: Any) -> None:
    """Carry traffic until the end."""
    volunteer()
    worker = _Worker(inherited, reactor)
    reactor.callWhenRunning(worker.start, link)
    reactor.run(installSignalHandlers=False)
    if worker.failure is not None:
        worker.failure.raiseException()


class _Worker:
    def __init__(self, inherited: Inheritance, reactor: Any) -> None:
        self._reactor = reactor
        self._inherited = inherited
        self._places = SharedPlaces(inherited.board, inherited.row, inherited.material.slots)
        self._gateway: Gateway | None = None
        self._link: Link | None = None
        self._ended = False
        self.failure: Failure | None = None

    @property
    def gateway(self) -> Gateway:
        if self._gateway is None:
            raise AssertionError("the worker has not started")
        return self._gateway

    def start(self, link: socket.socket) -> None:
        inherited = self._inherited
        try:
            self._gateway = Gateway(
                inherited.material,
                self._reactor,
                inherited.wall,
                places=self._places,
                clients=ClientPlaces(inherited.board, inherited.row),
                before=inherited.plan,
                number=inherited.number,
                probes=False,
            )
            self._gateway.start(inherited.sockets)
        except Exception:
            self.failure = Failure()
            self._reactor.stop()
            return
        self._link = connect(self._reactor, link, self._obey, self._unlinked)
        # Whoever ends one worker means its connections well: the parent starts another one.
        signal.signal(signal.SIGTERM, lambda number, frame: self._reactor.callFromThread(self._leave))
        self._link.ask("started").addErrback(lambda failure: None)

    def _obey(self, order: str, payload: bytes, sockets: dict[str, socket.socket]) -> Any:
        if order == "beat":
            return True
        if order == "prepare":
            # From our parent alone, over a socket pair that nobody else has.
            material: Material = pickle.loads(payload)
            self._places.change({**self._places.slots, **material.slots})
            self.gateway.prepare(material, sockets)
            return True
        facts = json.loads(payload) or {}
        done = perform(self.gateway, order, facts)
        if order == "commit":
            done.addCallback(self._committed)
        elif order == "stop":
            done.addCallback(self._end)
        elif order == "retire":
            done.addCallback(self._end_when_idle)
        return done

    def _committed(self, answer: object) -> object:
        self._places.change(self.gateway.material.slots)
        return answer

    def _end_when_idle(self, answer: object) -> object:
        if self.gateway.idle:
            self._leave()
        else:
            self._reactor.callLater(LOOK, self._end_when_idle, None)
        return answer

    def _unlinked(self) -> None:
        """The parent is gone: let the ports go, so that its successor can have them, and drain."""
        if self._ended:
            self._reactor.stop()
        else:
            self._link = None
            self._leave()

    def _leave(self) -> None:
        if self._gateway is not None:
            stopped: Deferred[Any] = self._gateway.stop()
            stopped.addCallback(self._end)

    def _end(self, answer: object) -> object:
        """Nothing is left to do; the answer to the parent goes out first."""
        if self._ended:
            return answer
        self._ended = True
        if self._link is not None:
            self._reactor.callLater(0, self._link.leave)
        else:
            self._reactor.callLater(0, self._reactor.stop)
        return answer
