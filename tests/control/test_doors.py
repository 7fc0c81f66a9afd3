"""Who is let in: nobody where descriptors or memory are short, everybody who waited when a listener is drained."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doubles.hand_reactor import HandReactor
from tests.doubles.ports import free_port
from wsgate.config.load import parse_config
from wsgate.config.model import Mode
from wsgate.control.doors import LOOK, binds
from wsgate.control.gateway import Gateway
from wsgate.control.material import Material
from wsgate.control.scopes import Scope
from wsgate.control.sockets import Sockets
from wsgate.transport.wheel import TICK

INI = """
[gateway]
access_log = off
[listener web]
bind = 127.0.0.1:{port}
[route home]
path = /
respond = 200 home
"""


class World:
    """A gateway that the test turns by hand, and those who knock."""

    def __init__(self) -> None:
        self.port = free_port()
        self.config = parse_config(INI.format(port=self.port), "test.ini", Path("/"))
        self.sockets = Sockets()
        self.sockets.keep(self.sockets.bind_missing(binds(self.config)), binds(self.config))
        self.reactor = HandReactor()
        self.gateway = Gateway(Material(self.config, {}, {}, {}), self.reactor, lambda: 0.0)
        self.gateway.start({key: sock.dup() for key, sock in self.sockets.bound.items()})
        self.clients: list[socket.socket] = []

    def knock(self, count: int = 1) -> None:
        self.clients += [socket.create_connection(("127.0.0.1", self.port)) for _ in range(count)]

    @property
    def inside(self) -> int:
        return len(self.gateway.runtime.live.connections)

    def turn(self, seconds: float = 0.0) -> None:
        """Long enough for all that is there to be seen."""
        for _ in range(10):
            self.reactor.turn()
        for _ in range(round(seconds / TICK) + 1 if seconds else 0):
            self.reactor.advance(TICK)
            self.reactor.turn()

    def end(self) -> None:
        for sock in self.clients:
            sock.close()
        self.gateway.stop(at_once=True)
        self.turn(1.0)
        self.sockets.close()


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    world = World()
    yield world
    world.end()


def test_above_the_descriptors_of_the_process_who_comes_waits_for_another_worker(world: World) -> None:
    world.gateway.runtime.max_connections = 3
    world.knock(5)
    world.turn(LOOK * 2)
    assert world.inside == 3
    sibling, _ = world.sockets.bound[f"127.0.0.1:{world.port}"].accept()
    sibling.close()
    world.clients[0].close()
    world.reactor.until(lambda: world.inside == 2)
    world.turn(LOOK * 2)
    assert world.inside == 3, "the fifth has waited in the queue"


def test_barred_listeners_accept_again_when_others_are_barred(world: World) -> None:
    doors = world.gateway._doors
    doors.bar(frozenset({Mode.HTTP}))
    world.knock()
    world.turn()
    assert world.inside == 0
    doors.bar(frozenset({Mode.TCP}))
    world.turn()
    assert world.inside == 1


def test_all_who_wait_are_taken_before_a_drained_listener_refuses(world: World) -> None:
    doors = world.gateway._doors
    doors.bar(frozenset(Mode))
    world.knock(40)
    doors.bar(frozenset())
    world.gateway.hold(Scope("listener", "web"))
    assert world.inside == 40
    world.knock()
    world.turn()
    assert world.inside == 40


def test_what_is_drained_while_a_reload_is_prepared_stays_drained(world: World) -> None:
    gateway = world.gateway
    gateway.prepare(replace(gateway.material), {})
    gateway.hold(Scope("listener", "web"))
    gateway.hold(Scope("route", "home"))
    gateway.commit()
    assert gateway.material.drained == {Scope("listener", "web"), Scope("route", "home")}
    assert gateway.runtime.drained_routes == {"home"}
    world.knock()
    world.turn()
    assert world.inside == 0


@pytest.mark.parametrize("scope", [Scope("gateway"), Scope("listener", "web")])
def test_who_asks_nothing_is_closed_by_a_drain_which_waits_for_it(world: World, scope: Scope) -> None:
    world.knock(3)
    world.reactor.until(lambda: world.inside == 3)
    finished: list[int] = []
    world.gateway.drain(scope).addCallback(finished.append)
    assert world.inside == 3 and not finished, "the ends of the connections are on their way"
    world.turn(3.0)
    assert world.inside == 0 and finished == [0]
