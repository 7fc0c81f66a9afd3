"""What ``twistd wsgate`` calls: options, and the service in a process that belongs to the gateway."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python import usage

from wsgate.config.load import load_config
from wsgate.config.model import Config
from wsgate.control.commander import Commander, OrderError
from wsgate.control.crew import Crew
from wsgate.control.limits import raise_descriptor_limit
from wsgate.control.notify import Notify
from wsgate.control.supervisor import Supervisor
from wsgate.errors import WsgateError
from wsgate.service import GatewayService


class Options(usage.Options):
    """``twistd wsgate --config FILE``."""

    synopsis = "[--config FILE]"
    optParameters = [
        ["config", "c", "etc/wsgate.ini", "The configuration (wsgate check --config FILE tells its faults)."]
    ]
    longdesc = "A gateway for WebSocket, HTTP and TCP: terminates TLS, routes and balances."

    parsed: Config

    def postOptions(self) -> None:
        """Read the configuration while twistd can still say what is wrong with it."""
        path = Path(self["config"]).absolute()
        try:
            self.parsed = load_config(path)
        except WsgateError as error:
            raise usage.UsageError(f"the configuration cannot be used:\n{error}") from None


class _ProcessService(GatewayService):
    """The gateway with its own process around it: every descriptor, a monotonic clock, signals, a control socket."""

    commander: Commander | None = None

    def privilegedStartService(self) -> None:
        raise_descriptor_limit()
        try:
            super().privilegedStartService()
        except WsgateError as error:
            raise SystemExit(f"wsgate: {error}") from None

    def startService(self) -> None:
        supervisor = self._bind()
        commander = Commander(supervisor, self._reactor, Notify(os.environ, os.getpid()), self._upgrade)
        supervisor.told = self._told
        self.commander = commander
        super().startService()
        commander.start()
        # The reactor sets its own handlers when it begins to run.
        self._reactor.callWhenRunning(self._take_signals)

    def _told(self, event: str) -> None:
        if self.commander is not None:
            self.commander.told(event)
        if event == "stopped" and self.running:
            self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> Deferred[None]:
        if self.commander is not None:
            self.commander.stop()
        return super().stopService()

    def _make(self) -> Supervisor:
        wanted = self._config.gateway.workers
        if wanted == 1:
            return super()._make()
        processes = wanted or len(os.sched_getaffinity(0))
        return Supervisor(self._config, self._reactor, self._wall, Crew(self._reactor, self._wall), processes=processes)

    # Signals

    def _take_signals(self) -> None:
        rotate = signal.getsignal(signal.SIGUSR1)

        def reopen() -> None:
            if callable(rotate):
                rotate(signal.SIGUSR1, None)
            if self.supervisor is not None:
                self.supervisor.workers.ask("reopen", {})

        for number, call in (
            (signal.SIGTERM, self._terminate),
            (signal.SIGINT, self._terminate),
            (signal.SIGHUP, self._reload),
            (signal.SIGUSR1, reopen),
            (signal.SIGUSR2, lambda: self.commander and self.commander.upgrade()),
        ):
            self._on(number, call)

    def _on(self, number: signal.Signals, call: Callable[[], object]) -> None:
        signal.signal(number, lambda received, frame: self._reactor.callFromThread(call))

    def _reload(self) -> None:
        if self.supervisor is not None:
            self.supervisor.reload()

    def _terminate(self) -> None:
        """Drain, then end; at once when it is said again."""
        supervisor = self.supervisor
        if supervisor is None:
            self._reactor.stop()
            return
        again = supervisor.stopping is not None
        supervisor.stop(at_once=again)

    def _upgrade(self) -> Deferred[int]:
        return fail(OrderError("this gateway cannot be replaced while it runs"))


def makeService(options: Options) -> GatewayService:
    """The service for twistd."""
    from twisted.internet import reactor

    host: Any = reactor
    # Deadlines must not follow the wall clock; no delayed call exists yet.
    host.seconds = time.monotonic
    return _ProcessService(options.parsed, host, time.time)
