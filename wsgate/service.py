"""Embedding: a gateway as a Twisted service, for a ``.tac`` file or a program of one's own.

Nothing of the process is changed: no fork, no signal, no clock, no descriptor limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from wsgate.config.load import load_config
from wsgate.config.model import Config
from wsgate.control.gateway import Gateway


class GatewayService(Service):
    """Binds in ``privilegedStartService`` (before twistd drops its user), serves while it runs.

    ``gateway`` is there while the service runs; ``gateway.ports()`` tells which ports were bound.
    """

    def __init__(self, config: Config, reactor: Any, wall: Callable[[], float]) -> None:
        self._config = config
        self._reactor = reactor
        self._wall = wall
        self.gateway: Gateway | None = None
        self._apps: list[Any] = []

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._bind()

    def _bind(self) -> Gateway:
        if self.gateway is None:
            gateway = Gateway(self._config, self._reactor, self._wall)
            gateway.bind()
            self.gateway = gateway
        return self.gateway

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        gateway = self._bind()
        if self._config.apps:
            from wsgate.apps.service import app_service

            self._apps = [app_service(app, self._reactor) for app in self._config.apps]
        for app in self._apps:
            app.startService()
        gateway.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        gateway, self.gateway = self.gateway, None
        stopped: Deferred[None] = Deferred()
        if gateway is None:
            stopped.callback(None)
        else:
            gateway.stop().addCallback(self._stop_apps).chainDeferred(stopped)
        return stopped

    def _stop_apps(self, _: None) -> None:
        for app in self._apps:
            app.stopService()
        self._apps = []


def gateway_service(config: Config | Path | str, reactor: Any = None) -> GatewayService:
    """A service from the path of an INI file or from a configuration; ``reactor`` is the installed one by default.

    Raises ConfigError at once for a configuration that is wrong.
    """
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    if not isinstance(config, Config):
        config = load_config(Path(config).absolute())
    return GatewayService(config, reactor, time.time)
