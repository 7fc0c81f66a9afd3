"""Embedding: a gateway as a Twisted service, for a ``.tac`` file or a program of one's own.

Nothing of the process is changed: no fork, no signal, no clock, no descriptor limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from wsgate.config.load import load_config
from wsgate.config.model import Config
from wsgate.control.alone import Alone
from wsgate.control.gateway import Gateway
from wsgate.control.supervisor import Supervisor


class GatewayService(Service):
    """Binds in ``privilegedStartService`` (before twistd drops its user), serves while it runs.

    ``gateway`` is there while the service runs; ``gateway.ports()`` tells which ports were bound.
    """

    def __init__(self, config: Config, reactor: Any, wall: Callable[[], float]) -> None:
        self._config = config
        self._reactor = reactor
        self._wall = wall
        self.supervisor: Supervisor | None = None

    @property
    def gateway(self) -> Gateway | None:
        """What carries traffic in this process."""
        workers = self.supervisor.workers if self.supervisor is not None else None
        return workers.gateway if isinstance(workers, Alone) else None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._bind()

    def _bind(self) -> Supervisor:
        if self.supervisor is None:
            supervisor = self._make()
            supervisor.bind()
            self.supervisor = supervisor
        return self.supervisor

    def _make(self) -> Supervisor:
        # What the program uses of its control group's memory is not the gateway's to judge.
        return Supervisor(self._config, self._reactor, self._wall, Alone(self._reactor, self._wall, memory=0))

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        failed: list[Failure] = []
        self._bind().start().addErrback(failed.append)
        if failed:
            failed[0].raiseException()

    def reload(self) -> Deferred[dict[str, Any]]:
        """Read the INI again and serve it, with every connection kept.

        Fires with ``{"ok": True, "changed": [...]}``, or ``{"ok": False, "error": ...}`` and nothing has changed.
        """
        if self.supervisor is None:
            raise RuntimeError("the service does not run")
        return self.supervisor.reload()

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        supervisor, self.supervisor = self.supervisor, None
        if supervisor is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        supervisor.stop().chainDeferred(stopped)
        return stopped


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
