"""The listening sockets of one process, each with the listener that it serves now."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from twisted.logger import Logger

from wsgate.config.model import Address, Config, Listener, Mode
from wsgate.connection import Connection
from wsgate.control.scopes import Scope
from wsgate.downstream.listening import SILENCE, Listening
from wsgate.runtime import ListenerPlan, Runtime
from wsgate.transport.sockets import port_of
from wsgate.transport.wheel import Timer

_log = Logger("wsgate.control")

#: Seconds between two looks at whether a connection is gone, where there are as many as the descriptors allow.
LOOK = 0.1

Binds = dict[str, tuple[Listener, Address]]


def binds(config: Config) -> Binds:
    """Every address to listen on by a key that lasts: the address, with a number where port 0 is asked for again."""
    found: Binds = {}
    for listener in config.listeners:
        for address in listener.bind:
            key, again = str(address), 1
            while key in found:
                again += 1
                key = f"{address}#{again}"
            found[key] = listener, address
    return found


class _Door:
    """One socket; ``place`` changes when a reload gives its address to another listener."""

    __slots__ = ("drained", "listening", "owner", "place", "port")

    def __init__(self, owner: Doors, sock: socket.socket, place: ListenerPlan) -> None:
        self.owner = owner
        self.place = place
        self.drained = False
        self.port = port_of(sock.getsockname())
        self.listening = Listening(owner.runtime.hub, owner.runtime.wheel, sock, self.accepted)

    def accepted(self, sock: socket.socket, peer: object) -> None:
        Connection(self.owner.runtime, self.place, sock, peer, self.port).begin()
        self.owner.look_for_room()

    def take_queue(self) -> None:
        """Accept who is in the queue already: they were told that they are connected."""
        if self.listening.sock.fileno() >= 0:
            self.listening.empty(self.place.listener.backlog)


class Doors:
    """Opens and closes what the plan of ``runtime`` listens on."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._open: dict[str, _Door] = {}
        self._barred: frozenset[Mode] = frozenset()
        self._full: Timer | None = None
        self._quiet_until = 0.0

    def change(self, wanted: Binds, added: Mapping[str, socket.socket], drained: frozenset[Scope]) -> None:
        """Listen on ``wanted``, with the sockets ``added`` for what is new; those of drained listeners only wait."""
        for key in [key for key in self._open if key not in wanted]:
            self._close(key)
        for key, sock in added.items():
            if key in wanted and key not in self._open:
                self._open[key] = _Door(self, sock, self.runtime.plan.listeners[wanted[key][0].name])
            else:
                sock.close()
        for key, door in self._open.items():
            name = wanted[key][0].name
            door.place = self.runtime.plan.listeners[name]
            is_drained = bool(drained & {Scope("gateway"), Scope("listener", name)})
            if is_drained and not door.drained:
                door.take_queue()
            door.drained = is_drained
        self._stand()

    def bar(self, modes: frozenset[Mode]) -> None:
        """Accept nothing on listeners of these modes, until other ones are named; who comes waits in the queue."""
        self._barred = modes
        self._stand()

    def look_for_room(self) -> None:
        """Accept no more where the descriptors of this process are taken: other workers take who waits in the queue."""
        if self._full is not None or len(self.runtime.live.connections) < self.runtime.max_connections:
            return
        wheel = self.runtime.wheel
        self._full = wheel.after(LOOK, self._look_again)
        if wheel.seconds() >= self._quiet_until:
            self._quiet_until = wheel.seconds() + SILENCE
            most = self.runtime.max_connections
            _log.warn("{most} connections are all that the descriptors of this process allow", most=most)
        self._stand()

    def _look_again(self) -> None:
        self._full = None
        self.look_for_room()
        self._stand()

    def _stand(self) -> None:
        for door in self._open.values():
            if door.drained or self._full is not None or door.place.listener.mode in self._barred:
                door.listening.stop()
            else:
                door.listening.start()

    def _close(self, key: str) -> None:
        door = self._open.pop(key)
        if not door.drained:
            door.take_queue()
        door.listening.close()

    def close(self) -> None:
        """Accept nothing more."""
        for key in list(self._open):
            self._close(key)
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def ports(self) -> dict[str, list[int]]:
        """The TCP ports of each listener."""
        found: dict[str, list[int]] = {}
        for door in self._open.values():
            found.setdefault(door.place.listener.name, []).append(door.port)
        return found
