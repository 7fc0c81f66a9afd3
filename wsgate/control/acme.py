"""Certificates that renew themselves: a program of its own asks for them, then the gateway reloads.

A program and no thread: the parent of workers forks, and what asks an authority needs libraries that nothing else does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.acme.renewing import due, sections
from wsgate.config.model import Config

_log = Logger("wsgate")

#: Seconds from the start to the first look (listeners must answer by then), and between two looks.
FIRST = 1.0
LOOK = 60.0

#: Seconds without another attempt where the program itself could not run: it has not noted when to try again.
BROKEN = 3600.0


class AcmeKeeper:
    """Looks whether a certificate is due, runs ``wsgate acme`` then, and calls ``reload`` when there is a new one."""

    def __init__(
        self,
        reactor: Any,
        now: Callable[[], datetime],
        config: Callable[[], Config],
        reload: Callable[[], Deferred[dict[str, Any]]],
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._config = config
        self._reload = reload
        self._call: Any = None
        self._process: Any = None
        self._unserved = False  # whether there is a certificate that no reload has taken yet
        self._held = reactor.seconds()

    def start(self) -> None:
        """Begin to look."""
        self._call = self._reactor.callLater(FIRST, self._look)

    def _look(self) -> None:
        self._call = self._reactor.callLater(LOOK, self._look)
        config = self._config()
        if self._unserved:
            self._serve()
        if self._process is not None or self._reactor.seconds() < self._held or not self._due(config):
            return
        arguments = [sys.executable, "-m", "wsgate", "acme", "--config", config.source]
        self._process = self._reactor.spawnProcess(_Run(self._over), sys.executable, arguments, env=dict(os.environ))

    def _due(self, config: Config) -> bool:
        return bool(sections(config)) and bool(due(config, self._now()))

    def _over(self, output: str) -> None:
        self._process = None
        for line in output.splitlines():
            if line.startswith("renewed "):
                self._unserved = True
                _log.info("acme: {line}", line=line)
            else:
                _log.warn("acme: {line}", line=line)
        if self._call is None:
            return
        if self._due(self._config()):
            self._held = self._reactor.seconds() + BROKEN
        if self._unserved:
            self._serve()

    def _serve(self) -> None:
        """Reload; where that is refused, because the INI is being edited, the next look tries again."""
        self._reload().addCallback(self._reloaded)

    def _reloaded(self, report: dict[str, Any]) -> None:
        self._unserved = not report["ok"]

    def stop(self) -> None:
        """Look no more; a program that runs is ended."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
        if self._process is not None:
            self._process.signalProcess("TERM")


class _Run(ProcessProtocol):
    """What the program says, until it has ended."""

    def __init__(self, over: Callable[[str], None]) -> None:
        self._over = over
        self._output = b""

    def outReceived(self, data: bytes) -> None:
        self._output += data

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        self._over(self._output.decode(errors="replace"))
