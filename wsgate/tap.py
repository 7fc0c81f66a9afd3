"""What ``twistd wsgate`` calls: options, and the service in a process that belongs to the gateway."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.python import usage

from wsgate.config.load import load_config
from wsgate.config.model import Config
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
    """The gateway with its own process around it: every descriptor, a monotonic clock, log rotation."""

    def privilegedStartService(self) -> None:
        _raise_descriptor_limit()
        try:
            super().privilegedStartService()
        except WsgateError as error:
            raise SystemExit(f"wsgate: {error}") from None

    def startService(self) -> None:
        super().startService()
        self._reopen_on(signal.SIGUSR1)

    def _reopen_on(self, number: signal.Signals) -> None:
        """Reopen the access log when twistd rotates its own."""
        before = signal.getsignal(number)

        def rotate(received: int, frame: FrameType | None) -> None:
            if callable(before):
                before(received, frame)
            self._reactor.callFromThread(self._reopen)

        signal.signal(number, rotate)

    def _reopen(self) -> None:
        if self.gateway is not None:
            self.gateway.reopen_log()


def makeService(options: Options) -> GatewayService:
    """The service for twistd."""
    from twisted.internet import reactor

    host: Any = reactor
    # Deadlines must not follow the wall clock; no delayed call exists yet.
    host.seconds = time.monotonic
    return _ProcessService(options.parsed, host, time.time)


def _raise_descriptor_limit() -> None:
    """Use all descriptors that the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
