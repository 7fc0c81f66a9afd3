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

    def _start(self, apps: Sequence[App]) -> None:
        """Start those that do not run.  Raises CannotListenError."""
        for app in apps:
            if app not in self._running:
                from wsgate.apps.service import app_service

                service = app_service(app, self._reactor)
                service.startService()
                self._running[app] = service

    def change(self, apps: Sequence[App]) -> None:
        """Stop those that are not wanted any more, then start the others; one that cannot listen is tried again."""
        self._cancel()
        for app in [app for app in self._running if app not in apps]:
            stopped: Deferred[Any] = maybeDeferred(self._running.pop(app).stopService)
            stopped.addErrback(lambda failure: _log.failure("a demo server did not stop", failure))
        try:
            self._start(apps)
        except CannotListenError as error:
            # The process that we take over from may still have the port.
            _log.warn("a demo server cannot listen yet: {why}", why=error)
            self._again = self._reactor.callLater(AGAIN, self.change, apps)

    def _cancel(self) -> None:
        if self._again is not None and self._again.active():
            self._again.cancel()

    def stop(self) -> Deferred[Any]:
        self._cancel()
        running, self._running = self._running, {}
        for service in running.values():
            service.stopService()
        return succeed(None)
