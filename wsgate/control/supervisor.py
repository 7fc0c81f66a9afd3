"""What commands: reads the configuration, holds the sockets, lets workers change together, drains and stops them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.config.load import load_config
from wsgate.config.model import Config, Server
from wsgate.control.acme import AcmeKeeper
from wsgate.control.alone import Workers
from wsgate.control.build import system_resolver
from wsgate.control.certificates import CertificateNotices
from wsgate.control.changes import changes, fixed
from wsgate.control.doors import binds
from wsgate.control.gateway import addresses
from wsgate.control.limits import check_descriptors
from wsgate.control.material import Material, read_files, read_material
from wsgate.control.parts import check_scope
from wsgate.control.privileges import Privileges
from wsgate.control.scopes import Scope, ScopeError
from wsgate.control.sockets import Sockets
from wsgate.control.whereabouts import placed
from wsgate.errors import WsgateError

_log = Logger("wsgate")

#: Errors of a configuration that cannot be put to work; anything else is a fault of ours.
REFUSED = (WsgateError, ValueError, OSError)


class ReloadError(WsgateError):
    """The running configuration goes on."""


class StartError(WsgateError):
    """The configuration cannot be put to work."""


class Supervisor:
    """One gateway with all its processes.  ``reactor`` and ``wall`` (seconds since the epoch) are those of Gateway.

    ``drained`` is what a predecessor had drained.  ``told`` is called with ``reloading``, ``ready``, ``stopping`` and
    ``stopped``, as a service manager wants to know.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        wall: Callable[[], float],
        workers: Workers,
        *,
        processes: int = 1,
        sockets: Sockets | None = None,
        drained: Iterable[Scope] = (),
    ) -> None:
        self.config = config
        self.stopping: Deferred[None] | None = None
        self.generation = 1
        self.failed_reloads = 0
        self.sockets = Sockets() if sockets is None else sockets
        self.workers = workers
        self._processes = processes
        self._left_drained = frozenset(drained)
        self._reactor = reactor
        self._wall = wall
        self.told: Callable[[str], None] = lambda event: None
        self._material: Material | None = None
        self._certificates = CertificateNotices(reactor, self._now, lambda: self.material)
        self._acme = AcmeKeeper(reactor, self._now, lambda: self.config, self.reload)
        self._serves = False  # whether all workers have begun to accept
        self._reloading = False
        self._news: tuple[dict[str, tuple[str, ...]], dict[str, tuple[Server, ...]]] = ({}, {})
        workers.discover(self.discovered)
        self._asked: list[Deferred[dict[str, Any]]] = []
        self._delay: Any = None
        self._privileges = Privileges()
        self._since = reactor.seconds()

    @property
    def ready(self) -> bool:
        """Whether new connections are wanted: all workers accept, and nobody stops or drains the whole."""
        return self._serves and self.stopping is None and Scope("gateway") not in self.material.drained

    @property
    def material(self) -> Material:
        if self._material is None:
            raise AssertionError("nothing was built")
        return self._material

    # Start

    def bind(self) -> None:
        """Build and bind, with the rights that the process still has.  Raises WsgateError; nothing stays bound then."""
        self._privileges = Privileges()
        try:
            check_descriptors(self.config, self._processes)
            read = self._read(self.config)
            self._material = self.workers.build(replace(read, drained=self._still_there(read)))
            wanted = binds(self.config)
            self.sockets.keep(self.sockets.bind_missing(wanted, self.config.source), wanted)
        except WsgateError as error:
            raise StartError(placed(str(error), self.config.source)) from error

    def _still_there(self, material: Material) -> frozenset[Scope]:
        """What a predecessor had drained, as far as there is such a part."""
        found = set()
        for scope in self._left_drained:
            try:
                check_scope(scope, material)
            except ScopeError:
                _log.warn("{scope} was drained, and is no more", scope=str(scope))
            else:
                found.add(scope)
        return frozenset(found)

    def _read(self, config: Config) -> Material:
        return read_material(config, system_resolver, self._now(), self._material)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    def start(self) -> Deferred[None]:
        """Serve; fires when all workers accept."""
        self.workers.run_apps(self.config.apps)
        for name in self.sockets.spare():
            _log.warn("the inherited socket {name} belongs to no listener: closed", name=name)
        self.sockets.stand(binds(self.config), self._drained_listeners(), self.sockets.bound)
        return self.workers.start(self.sockets.bound).addCallback(self._started)

    def _started(self, _: object) -> None:
        self._serves = True
        for line in addresses(self.config, self.sockets.bound):
            _log.info("{line}", line=line)
        self._certificates.tell()
        self._acme.start()
        self.told("ready")

    # Reload

    def reload(self) -> Deferred[dict[str, Any]]:
        """Read the configuration again; fires with what changed, or with what is wrong and nothing changed.

        Who asks while one is under way gets the one after it, together with all others who do.
        """
        asked: Deferred[dict[str, Any]] = Deferred()
        self._asked.append(asked)
        if not self._reloading:
            self._reloading = True
            self._reactor.callLater(0, self._reload)
        return asked

    def _reload(self) -> None:
        asked, self._asked = self._asked, []
        if self._serves:
            self.told("reloading")
        done = maybeDeferred(self.workers.run, self._read_again)
        done.addCallback(self._prepare)
        done.addErrback(self._not_reloaded)
        done.addCallback(self._tell, asked)

    def _read_again(self) -> Material:
        config = load_config(Path(self.config.source))
        wrong = fixed(self.config, config)
        if wrong:
            raise ReloadError("\n".join(wrong))
        check_descriptors(config, config.gateway.workers or self._processes)
        return self._read(config)

    def discovered(self, resolved: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[Server, ...]]) -> None:
        """Servers have come or gone; all workers learn of it as of a reload, of which the configuration is the same."""
        self._news[0].update(resolved)
        self._news[1].update(found)
        if not self._reloading:
            self._reloading = True
            self._reactor.callLater(0, self._take_news)

    def _take_news(self) -> None:
        (resolved, found), self._news = self._news, ({}, {})
        now = self.material
        news = replace(now, resolved={**now.resolved, **resolved}, found={**now.found, **found})
        done = maybeDeferred(self._prepare, news)
        done.addErrback(self._not_reloaded)
        done.addCallback(self._tell, [])

    def _prepare(self, read: Material) -> Deferred[dict[str, Any]]:
        if self.stopping is not None:
            raise ReloadError("the gateway stops")
        wanted = binds(read.config)
        added = self.sockets.bind_missing(wanted, read.config.source)
        done: Deferred[Any] = maybeDeferred(self.workers.prepare, read, added)
        done.addErrback(self._drop, added)
        return done.addCallback(self._commit, added)

    def _drop(self, failure: Failure, added: Mapping[str, socket.socket]) -> Deferred[Failure]:
        for sock in added.values():
            sock.close()
        return self.workers.drop().addCallback(lambda _: failure)

    def _commit(self, material: Material, added: Mapping[str, socket.socket]) -> Deferred[dict[str, Any]]:
        before = self.material
        told = changes(before, material)
        # What was drained or let in again while the workers prepared, holds.
        self._material, self.config = replace(material, drained=before.drained), material.config
        self.sockets.keep(added, binds(self.config))
        self.sockets.stand(binds(self.config), self._drained_listeners(), added)
        self.generation += 1
        if self.config.apps != before.config.apps:
            self.workers.run_apps(self.config.apps)
        return self.workers.commit().addCallback(
            lambda _: {"ok": True, "changed": told, "generation": self.generation, "warnings": self.config.warnings}
        )

    def _not_reloaded(self, failure: Failure) -> dict[str, Any]:
        self.failed_reloads += 1
        if not failure.check(*REFUSED):
            _log.failure("a reload failed", failure)
        error = failure.getErrorMessage() or str(failure.type)
        return {"ok": False, "error": self._privileges.explain(placed(error, self.config.source))}

    def _tell(self, report: dict[str, Any], asked: list[Deferred[dict[str, Any]]]) -> None:
        if report["ok"]:
            _log.info("reloaded: {changed}", changed="; ".join(report["changed"]) or "nothing is different")
            self._certificates.tell(all_of_them=bool(report["changed"]))
        else:
            _log.warn("not reloaded, everything goes on as it was: {error}", error=report["error"])
        # Not before the workers accept: a predecessor would stop, and a service manager be told what is not so.
        if self._serves:
            self.told("ready")
        for one in asked:
            one.callback(report)
        if self._asked:
            self._reload()
        elif any(self._news):
            self._take_news()
        else:
            self._reloading = False

    def seen(self) -> object:
        """What a watch compares: times and sizes of the INI, and the bytes of keys and certificates."""
        try:
            stat = Path(self.config.source).stat()
            return stat.st_mtime_ns, stat.st_size, read_files(self.config, self._now())
        except (OSError, WsgateError):
            return None

    # Drain

    def drain(self, scope: Scope) -> Deferred[int]:
        """Take nothing new for ``scope`` and end what is there; fires with how many were closed when all are gone."""
        check_scope(scope, self.material)
        if scope.kind == "worker":
            return self.workers.drain_worker(int(scope.name) if scope.name.isascii() and scope.name.isdecimal() else 0)
        self._material = replace(self.material, drained=self.material.drained | {scope})
        done = self.workers.ask("hold", scope.facts)
        done.addCallback(lambda _: self._refuse(scope))
        done.addCallback(lambda _: self.workers.ask("drain", scope.facts))
        return done.addCallback(sum)

    def _refuse(self, scope: Scope) -> None:
        """All workers have taken who was in the queue: the kernel refuses the next ones."""
        if scope not in self.material.drained:
            return  # let in again meanwhile
        for listener in self._listeners(scope):
            self.sockets.refuse(binds(self.config), listener)

    def undrain(self, scope: Scope) -> Deferred[None]:
        """Take new connections for ``scope`` again."""
        if scope not in self.material.drained:
            raise ScopeError(f"{scope} is not drained")
        self._material = replace(self.material, drained=self.material.drained - {scope})
        self.sockets.stand(binds(self.config), self._drained_listeners())
        return self.workers.ask("undrain", scope.facts).addCallback(lambda _: None)

    def _listeners(self, scope: Scope) -> list[str]:
        names = [listener.name for listener in self.config.listeners]
        return names if scope.kind == "gateway" else [name for name in names if scope == Scope("listener", name)]

    def _drained_listeners(self) -> list[str]:
        return [name for scope in self.material.drained for name in self._listeners(scope)]

    # Stop

    def stop(self, *, at_once: bool = False, delay: bool = True) -> Deferred[None]:
        """Not ready any more; after ``drain_delay`` accept nothing, and end everything by ``drain_timeout``."""
        if self.stopping is None:
            self.stopping = Deferred()
            self.told("stopping")
            seconds = self.config.gateway.drain_delay if delay and not at_once else 0.0
            self._delay = self._reactor.callLater(seconds, self._stop)
        if at_once and self._delay is not None:
            self._delay.cancel()
            self._stop()
        if at_once:
            self.workers.stop(at_once=True)
        return self.stopping

    def _stop(self) -> None:
        self._delay = None
        self._certificates.stop()
        self._acme.stop()
        stopped = maybeDeferred(self.workers.stop)
        self.sockets.close()
        stopped.addErrback(lambda failure: _log.failure("the gateway did not stop well", failure))
        stopped.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        if self.stopping is not None:
            self.stopping.callback(None)
        self.told("stopped")

    # Facts

    def status(self, *, connections: bool = False) -> Deferred[dict[str, Any]]:
        """Numbers of the gateway and of each worker, as JSON has them."""
        facts: dict[str, Any] = {
            "ok": True,
            "ready": self.ready,
            "pid": os.getpid(),
            "source": self.config.source,
            "generation": self.generation,
            "failed_reloads": self.failed_reloads,
            "uptime": round(self._reactor.seconds() - self._since, 1),
            "drained": sorted(map(str, self.material.drained)),
            "listening": addresses(self.config, self.sockets.bound) if self.sockets.bound else [],
            "certificates": self._certificates.facts() if self._material else [],
            **self.workers.facts(),
        }
        asked = self.workers.ask("status", {"connections": connections}) if self._material else succeed([])
        return asked.addCallback(lambda found: {**facts, "workers": found})
