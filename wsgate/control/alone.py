"""``workers = 1``: what carries traffic lives in the process that steers it, and the link between them is a call."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool

from wsgate.config.model import App
from wsgate.control.demo_apps import DemoApps
from wsgate.control.discovery import Discovery, Resolved, Servers
from wsgate.control.gateway import Gateway
from wsgate.control.material import Material
from wsgate.control.orders import perform
from wsgate.control.rebalancing import Rebalancing
from wsgate.control.scopes import ScopeError


class Workers(Protocol):
    """Those who carry traffic: one in this process, or several processes that were forked."""

    def build(self, material: Material) -> Material:
        """Make what can fail before anything is bound; gives the material with what it needs of its own."""

    def start(self, sockets: Mapping[str, socket.socket]) -> Deferred[None]:
        """Accept on duplicates of ``sockets``; fires when all do."""

    def discover(self, publish: Callable[[Resolved, Servers], None]) -> None:
        """Call ``publish`` when servers of names, SRV records or files have come or gone, from the start on."""

    def run_apps(self, apps: Iterable[App]) -> None:
        """Run these demo servers, and no others any more."""

    def run(self, blocking: Callable[[], Any]) -> Deferred[Any]:
        """Do something that blocks, such as reading files and resolving names."""

    def prepare(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[Any]:
        """Let all get ready for ``material``; fires with it, as the workers have it, or fails where one cannot."""

    def commit(self) -> Deferred[Any]: ...

    def drop(self) -> Deferred[Any]: ...

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        """The answers of all."""

    def drain_worker(self, number: int) -> Deferred[int]:
        """End one of them in good order; fires when it is gone.  Raises ScopeError."""

    def stop(self, *, at_once: bool = False) -> Deferred[Any]:
        """End all of it; may be asked again, with ``at_once``."""

    def facts(self) -> dict[str, Any]:
        """What an operator asks about processes, as JSON has it."""


class Alone:
    """One gateway in this process; it is there from ``build`` on.  ``memory`` is that of ``Gateway``."""

    def __init__(self, reactor: Any, wall: Callable[[], float], *, memory: int | None = None) -> None:
        self._reactor = reactor
        self._wall = wall
        self._memory = memory
        self._apps = DemoApps(reactor)
        self._gateway: Gateway | None = None
        self._discovery: Discovery | None = None
        self._rebalancing = Rebalancing(reactor, lambda: self.gateway.config, self.ask)

    @property
    def gateway(self) -> Gateway:
        if self._gateway is None:
            raise AssertionError("nothing was built")
        return self._gateway

    def build(self, material: Material) -> Material:
        self._gateway = Gateway(material, self._reactor, self._wall, memory=self._memory)
        self._gateway.load(material.config)
        return material

    def start(self, sockets: Mapping[str, socket.socket]) -> Deferred[None]:
        started = maybeDeferred(self.gateway.start, _duplicates(sockets))
        return started.addCallback(lambda _: self._rebalancing.start()).addCallback(self._look_for_servers)

    def discover(self, publish: Callable[[Resolved, Servers], None]) -> None:
        self._discovery = Discovery(self._reactor, lambda: self.gateway.material, publish)

    def _look_for_servers(self, _: object) -> None:
        if self._discovery is not None:
            self._discovery.follow()

    def run_apps(self, apps: Iterable[App]) -> None:
        self._apps.change(tuple(apps))

    def run(self, blocking: Callable[[], Any]) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), blocking)

    def prepare(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[Any]:
        return maybeDeferred(self.gateway.prepare, material, _duplicates(added)).addCallback(lambda _: material)

    def commit(self) -> Deferred[Any]:
        return maybeDeferred(self.gateway.commit).addCallback(self._look_for_servers)

    def drop(self) -> Deferred[Any]:
        return maybeDeferred(self.gateway.drop)

    def ask(self, order: str, facts: Mapping[str, Any]) -> Deferred[list[Any]]:
        return perform(self.gateway, order, facts).addCallback(lambda answer: [answer])

    def drain_worker(self, number: int) -> Deferred[int]:
        raise ScopeError("with workers = 1 there is no worker apart from the gateway")

    def stop(self, *, at_once: bool = False) -> Deferred[Any]:
        if self._discovery is not None:
            self._discovery.stop()
        self._rebalancing.stop()
        self._apps.leave()
        return self.gateway.stop(at_once=at_once).addCallback(lambda _: self._apps.stop())

    def facts(self) -> dict[str, Any]:
        return {}


def _duplicates(sockets: Mapping[str, socket.socket]) -> dict[str, socket.socket]:
    return {key: sock.dup() for key, sock in sockets.items()}
