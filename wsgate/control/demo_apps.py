"""The bundled demo servers of a configuration, beside the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from wsgate.config.model import App

_log = Logger("wsgate")


class DemoApps:
    """Runs what it is told to, once each."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._running: dict[App, Any] = {}

    def start(self, apps: Sequence[App]) -> None:
        """Start those that do not run.  Raises CannotListenError."""
        for app in apps:
            if app not in self._running:
                from wsgate.apps.service import app_service

                service = app_service(app, self._reactor)
                service.startService()
                self._running[app] = service

    def change(self, apps: Sequence[App]) -> None:
        """Stop those that are not wanted any more, then start the others; one that cannot listen is told of."""
        for app in [app for app in self._running if app not in apps]:
            stopped: Deferred[Any] = maybeDeferred(self._running.pop(app).stopService)
            stopped.addErrback(lambda failure: _log.failure("a demo server did not stop", failure))
        try:
            self.start(apps)
        except CannotListenError as error:
            _log.warn("a demo server cannot listen: {why}", why=error)

    def stop(self) -> Deferred[Any]:
        running, self._running = self._running, {}
        for service in running.values():
            service.stopService()
        return succeed(None)
