"""What is drained while a reload is under way stays drained, and what is let in again stays let in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.doubles.ports import free_port
from wsgate.config.load import load_config
from wsgate.config.model import App
from wsgate.control.doors import binds
from wsgate.control.material import Material
from wsgate.control.scopes import Scope, ScopeError
from wsgate.control.sockets import Sockets
from wsgate.control.supervisor import Supervisor

INI = """
[gateway]
state_dir = {dir}
[listener web]
bind = 127.0.0.1:{port}
[route home]
path = /
respond = 200 {word}
[route app]
path = /app
upstream = app
[upstream app]
servers = 127.0.0.1:9001, 127.0.0.1:9002
"""


class Workers:
    """Workers that answer when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.ready: Deferred[None] = Deferred()
        self.preparing: Deferred[Any] | None = None
        self.held: Deferred[list[Any]] | None = None
        self.material: Material | None = None

    def build(self, material: Material) -> Material:
        self.material = material
        return material

    def start(self, sockets: Mapping[str, socket.socket]) -> Deferred[None]:
        return self.ready

    def discover(self, publish: Callable[[Any, Any], None]) -> None:
        self.publish = publish

    def run_apps(self, apps: Iterable[App]) -> None:
        assert not tuple(apps)

    def run(self, blocking: Callable[[], Any]) -> Deferred[Any]:
        return succeed(blocking())

    def prepare(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[Any]:
        self.preparing = Deferred()
        return self.preparing.addCallback(lambda _: material)

    def commit(self) -> Deferred[Any]:
        return succeed(None)

    def drop(self) -> Deferred[Any]:
        return succeed(None)

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        self.asked.append((order, facts))
        if order == "hold" and self.held is not None:
            return self.held
        return succeed([1])

    def drain_worker(self, number: int) -> Deferred[int]:
        return succeed(number)

    def stop(self, *, at_once: bool = False) -> Deferred[Any]:
        return succeed(None)

    def facts(self) -> dict[str, Any]:
        return {}


class World:
    """A supervisor with its INI and such workers."""

    def __init__(self, directory: Path, *, drained: Iterable[Scope] = (), sockets: Sockets | None = None) -> None:
        self.ini = directory / "wsgate.ini"
        self.directory = directory
        self.port = free_port()
        self.clock = Clock()
        self.workers = Workers()
        self.write()
        self.supervisor = Supervisor(
            load_config(self.ini),
            self.clock,
            lambda: 0.0,
            self.workers,
            sockets=sockets,
            drained=drained,
        )
        self.told: list[str] = []
        self.supervisor.told = self.told.append

    def write(self, word: str = "first", *, name: str = "web") -> None:
        text = INI.format(dir=self.directory, port=self.port, word=word)
        self.ini.write_text(text.replace("[listener web]", f"[listener {name}]"))

    def start(self) -> None:
        self.supervisor.bind()
        self.supervisor.start()
        self.workers.ready.callback(None)

    def begin_reload(self) -> list[dict[str, Any]]:
        """Let a reload go as far as the workers' answers."""
        reports: list[dict[str, Any]] = []
        self.supervisor.reload().addCallback(reports.append)
        self.clock.advance(0)
        assert self.workers.preparing is not None and not reports
        return reports

    def end_reload(self) -> None:
        preparing, self.workers.preparing = self.workers.preparing, None
        assert preparing is not None
        preparing.callback(None)

    @property
    def drained(self) -> frozenset[Scope]:
        return self.supervisor.material.drained

    def lets_in(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        self.supervisor.sockets.close()


@pytest.fixture(name="make")
def _make(tmp_path: Path) -> Any:
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(tmp_path, **options))
        return made[-1]

    yield make
    for world in made:
        world.end()


ROUTE, WEB = Scope("route", "app"), Scope("listener", "web")


def test_a_drain_during_a_reload_holds_after_it(make: Callable[..., World]) -> None:
    world = make()
    world.start()
    world.write("second")
    reports = world.begin_reload()
    world.supervisor.drain(ROUTE)
    world.end_reload()
    assert reports[0]["ok"] and reports[0]["changed"] == ["[route home] changed: target"]
    assert world.drained == {ROUTE}


def test_an_undrain_during_a_reload_holds_after_it(make: Callable[..., World]) -> None:
    world = make()
    world.start()
    world.supervisor.drain(ROUTE)
    world.write("second")
    world.begin_reload()
    world.supervisor.undrain(ROUTE)
    world.end_reload()
    assert not world.drained


def test_what_is_not_there_is_refused_with_the_nearest_name(make: Callable[..., World]) -> None:
    world = make()
    world.start()
    with pytest.raises(ScopeError, match="did you mean 127.0.0.1:9002?"):
        world.supervisor.drain(Scope("server", "app", "127.0.0.1:9003"))
    with pytest.raises(ScopeError, match="unknown upstream ap: did you mean app?"):
        world.supervisor.drain(Scope("server", "ap", "127.0.0.1:9001"))
    with pytest.raises(ScopeError, match="unknown listener raw; known: web"):
        world.supervisor.drain(Scope("listener", "raw"))
    assert not world.drained and not world.workers.asked


def test_a_listener_that_was_let_in_again_meanwhile_is_not_refused(make: Callable[..., World]) -> None:
    world = make()
    world.start()
    world.workers.held = Deferred()
    world.supervisor.drain(WEB)
    assert world.lets_in(), "until all workers have taken who was in the queue"
    world.supervisor.undrain(WEB)
    world.workers.held.callback([None])
    assert world.lets_in()


def test_the_address_of_a_drained_listener_serves_its_next_owner(make: Callable[..., World]) -> None:
    world = make()
    world.start()
    world.supervisor.drain(WEB)
    assert not world.lets_in()
    world.write("first", name="next")
    world.begin_reload()
    world.end_reload()
    assert world.lets_in()


def test_a_successor_knows_what_was_drained_and_reopens_nothing(make: Callable[..., World]) -> None:
    """Also where it fails later: the socket is its predecessor's as well."""
    old = make()
    old.start()
    old.supervisor.drain(WEB)
    assert not old.lets_in()
    inherited = [sock.dup() for sock in old.supervisor.sockets.bound.values()]
    gone = Scope("route", "gone")
    new = make(drained=[WEB, gone], sockets=Sockets(inherited))
    new.port = old.port
    new.write()
    new.supervisor.config = load_config(new.ini)
    new.start()
    assert new.drained == {WEB} and new.workers.material is not None and new.workers.material.drained == {WEB}
    assert not new.lets_in() and not old.lets_in()
    assert new.supervisor.sockets.bound.keys() == binds(new.supervisor.config).keys()
    new.supervisor.undrain(WEB)
    assert new.lets_in()


def test_a_reload_before_the_workers_accept_does_not_say_ready(make: Callable[..., World]) -> None:
    """A predecessor would stop for it."""
    world = make()
    world.supervisor.bind()
    world.supervisor.start()
    world.begin_reload()
    world.end_reload()
    assert not world.told and not world.supervisor.ready
    world.workers.ready.callback(None)
    assert world.told == ["ready"] and world.supervisor.ready
