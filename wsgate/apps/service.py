"""An application on a port, as a Twisted service."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress

from wsgate.apps.catalog import KINDS
from wsgate.apps.endpoint import EndpointFactory
from wsgate.config.model import App

BACKLOG = 128
SOCKET_MODE = 0o660


def app_service(app: App, reactor: Any, rng: Random | None = None) -> AppService:
    """The service that runs ``app`` while it is started.

    ``reactor`` provides Twisted's IReactorTime and IReactorTCP or IReactorUNIX; ``rng`` is the applications' chance,
    seeded by the system where it is left out.  KeyError for an unknown kind.
    """
    return AppService(app, reactor, rng or Random())


class AppService(Service):
    """Listens while it runs; stopping closes every WebSocket with 1001 and waits for them, 2 seconds at most."""

    def __init__(self, app: App, reactor: Any, rng: Random) -> None:
        self.name = app.name
        self._bind = app.bind
        self._reactor = reactor
        self._factory = EndpointFactory(KINDS[app.kind](reactor, rng), app.name, reactor)
        self._port: Any = None

    @property
    def address(self) -> IAddress | None:
        """Where it listens, with the real port where 0 was asked for; None while it does not run."""
        return None if self._port is None else self._port.getHost()

    def privilegedStartService(self) -> None:
        """Bind while the process may still take a port below 1024."""
        self._listen()

    def startService(self) -> None:
        """Listen; ``twisted.internet.error.CannotListenError`` where that fails."""
        self._listen()
        self.running = 1

    def stopService(self) -> Deferred[Any]:
        """Stop listening, close what is open; fires when all is gone."""
        self.running = 0
        return gatherResults([self.stop_accepting(), self._factory.dismiss()])

    def stop_accepting(self) -> Deferred[Any]:
        """Stop listening; what is open goes on."""
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening) if port else succeed(None)

    def _listen(self) -> None:
        if self._port is not None:
            return
        bind = self._bind
        if bind.is_unix:
            # wantPID: the socket that a killed process has left behind is replaced.
            self._port = self._reactor.listenUNIX(bind.path, self._factory, BACKLOG, SOCKET_MODE, wantPID=True)
        else:
            self._port = self._reactor.listenTCP(bind.port, self._factory, BACKLOG, interface=bind.host)
