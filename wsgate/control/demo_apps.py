"""The bundled demo servers of a configuration, beside the gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from wsgate.config.model import App

#: Seconds until a port that was taken is tried again.
AGAIN = 1.0

_log = Logger("wsgate")


class DemoApps:
    """Runs what it is told to, once each."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._running: dict[App, Any] = {}
        self._again: Any = None
        self._told: set[App] = set()

    def _start(self, app: App) -> bool:
        """Start it unless it runs; False where it cannot listen, which is told of once."""
        if app in self._running:
            return True
        from wsgate.apps.service import app_service

        service = app_service(app, self._reactor)
        try:
            service.startService()
        except CannotListenError as error:
            if app not in self._told:
                self._told.add(app)
                _log.warn("[app {name}] cannot listen yet: {why}", name=app.name, why=error)
            return False
        self._running[app] = service
        self._told.discard(app)
        return True

    def change(self, apps: Sequence[App]) -> None:
        """Stop those that are not wanted any more, then start the others; one that cannot listen is tried again."""
        self._cancel()
        for app in [app for app in self._running if app not in apps]:
            stopped: Deferred[Any] = maybeDeferred(self._running.pop(app).stopService)
            stopped.addErrback(lambda failure: _log.failure("a demo server did not stop", failure))
        waiting = [app for app in apps if not self._start(app)]
        if waiting:
            # The process that we take over from may still have the port.
            self._again = self._reactor.callLater(AGAIN, self.change, apps)

    def _cancel(self) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()

    def leave(self) -> None:
        """Let the ports go, for those of a successor; whom the gateway has connected goes on until the end."""
        self._cancel()
        for service in self._running.values():
            service.stop_accepting()

    def stop(self) -> Deferred[Any]:
        self._cancel()
        running, self._running = self._running, {}
        for service in running.values():
            service.stopService()
        return succeed(None)
