"""The listening sockets of one process, each with the listener that it serves now."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from wsgate.config.model import Address, Config, Listener
from wsgate.connection import Connection
from wsgate.control.scopes import Scope
from wsgate.downstream.listening import Listening
from wsgate.runtime import ListenerPlan, Runtime
from wsgate.transport.sockets import port_of

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

    __slots__ = ("listening", "place", "port", "runtime")

    def __init__(self, runtime: Runtime, sock: socket.socket, place: ListenerPlan) -> None:
        self.runtime = runtime
        self.place = place
        self.port = port_of(sock.getsockname())
        self.listening = Listening(runtime.hub, runtime.wheel, sock, self.accepted)

    def accepted(self, sock: socket.socket, peer: object) -> None:
        Connection(self.runtime, self.place, sock, peer, self.port).begin()


class Doors:
    """Opens and closes what the plan of ``runtime`` listens on."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[str, _Door] = {}

    def change(self, wanted: Binds, added: Mapping[str, socket.socket], drained: frozenset[Scope]) -> None:
        """Listen on ``wanted``, with the sockets ``added`` for what is new; those of drained listeners only wait."""
        for key in [key for key in self._open if key not in wanted]:
            self._close(key)
        for key, sock in added.items():
            if key in wanted and key not in self._open:
                self._open[key] = _Door(self._runtime, sock, self._runtime.plan.listeners[wanted[key][0].name])
            else:
                sock.close()
        for key, door in self._open.items():
            name = wanted[key][0].name
            door.place = self._runtime.plan.listeners[name]
            if drained & {Scope("gateway"), Scope("listener", name)}:
                self._take_queue(door)
                door.listening.stop()
            else:
                door.listening.start()

    def _close(self, key: str) -> None:
        door = self._open.pop(key)
        self._take_queue(door)
        door.listening.close()

    def _take_queue(self, door: _Door) -> None:
        """Accept who is in the queue already: they were told that they are connected."""
        if door.listening.sock.fileno() >= 0:
            door.listening.ready(0)

    def close(self) -> None:
        """Accept nothing more."""
        for key in list(self._open):
            self._close(key)

    def ports(self) -> dict[str, list[int]]:
        """The TCP ports of each listener."""
        found: dict[str, list[int]] = {}
        for door in self._open.values():
            found.setdefault(door.place.listener.name, []).append(door.port)
        return found
