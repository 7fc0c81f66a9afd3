"""The orders of operators, and what a process does for its gateway without being asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsgate.control.control_socket import ControlSocket
from wsgate.control.notify import Notify
from wsgate.control.scopes import Scope, Selection
from wsgate.control.supervisor import Supervisor
from wsgate.errors import WsgateError

_log = Logger("wsgate.control")

Answer = dict[str, Any]

# The next program has been told by then what is drained, and may have read the configuration.
_NOT_DURING_UPGRADES = frozenset({"drain", "undrain", "reload"})
_UPGRADING = "an upgrade is under way, which would not know of it: try again when it is over"


class OrderError(WsgateError):
    """There is no such order, or it cannot be obeyed now."""


class Commander:
    """Obeys operators and keeps a service manager informed.

    ``upgrade`` starts the next version of the gateway and fires with its process id.  ``replace``: another gateway
    hands over to this one, its control socket too.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        reactor: Any,
        notify: Notify,
        upgrade: Callable[[], Deferred[int]],
        *,
        replace: bool = False,
    ) -> None:
        self.supervisor = supervisor
        self._reactor = reactor
        self._notify = notify
        self._upgrade = upgrade
        self._replace = replace
        self._socket = ControlSocket(reactor, supervisor.config.gateway.state_dir, self.obey)
        self._calls: dict[str, Any] = {}
        self._seen: object = None
        self._upgrading = False

    # Life

    def start(self) -> None:
        """Take orders, and do now and then what has to be done."""
        self._socket.start(replace=self._replace)
        self._seen = self.supervisor.seen() if self.supervisor.config.gateway.watch else None
        self._look()
        if self._notify.watchdog:
            self._beat()

    def stop(self) -> None:
        """Take no more orders."""
        self._socket.stop()
        for call in self._calls.values():
            if call.active():
                call.cancel()

    def told(self, event: str) -> None:
        """What the supervisor tells, for the service manager."""
        if self.supervisor.stopping is not None and event != "stopping":
            # The service manager was told that this is the end.
            return
        if event == "ready":
            config = self.supervisor.config
            self._notify.ready(f"{len(config.listeners)} listeners, configuration {self.supervisor.generation}")
        elif event == "reloading":
            self._notify.reloading()
        elif event == "stopping":
            self._notify.stopping()

    def _beat(self) -> None:
        self._notify.alive()
        # Half of what the manager waits, as sd_watchdog_enabled(3) recommends.
        self._calls["beat"] = self._reactor.callLater(self._notify.watchdog / 2, self._beat)

    def _look(self) -> None:
        """Reload where the files have changed; one second is how soon a switched-on watch is noticed."""
        every = self.supervisor.config.gateway.watch
        if every and not self._upgrading:
            seen = self.supervisor.seen()
            if self._seen is not None and seen is not None and seen != self._seen:
                self.supervisor.reload()
            self._seen = seen or self._seen
        elif not every:
            self._seen = None
        self._calls["look"] = self._reactor.callLater(every or 1.0, self._look)

    # Orders

    def obey(self, order: str, facts: Mapping[str, Any]) -> Deferred[Answer]:
        """Fires with the answer, whose ``ok`` tells whether it was done.  Raises WsgateError."""
        known: dict[str, Callable[[Mapping[str, Any]], Deferred[Answer]]] = {
            "status": self._status,
            "ready": self._ready,
            "reload": lambda facts: self.reload(),
            "drain": self._drain,
            "undrain": self._undrain,
            "kick": self._kick,
            "upgrade": lambda facts: self.upgrade(),
            "stop": self._stop,
        }
        if order not in known:
            raise OrderError(f"unknown order {order}: it is one of {', '.join(known)}")
        if self._upgrading and order in _NOT_DURING_UPGRADES:
            raise OrderError(_UPGRADING)
        return known[order](facts)

    def reload(self) -> Deferred[Answer]:
        """Read the INI again."""
        if self._upgrading:
            _log.warn("no reload: {why}", why=_UPGRADING)
            return succeed({"ok": False, "error": _UPGRADING})
        return self.supervisor.reload()

    def _status(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        return self.supervisor.status(connections=bool(facts.get("connections")))

    def _ready(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        ready = self.supervisor.ready
        return succeed({"ok": ready, "ready": ready})

    def _drain(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        done = self.supervisor.drain(Scope.of(facts))
        if facts.get("wait", True):
            return done.addCallback(lambda closed: {"ok": True, "closed": closed})
        done.addErrback(lambda failure: _log.failure("a drain failed", failure))
        return succeed({"ok": True})

    def _undrain(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        return self.supervisor.undrain(Scope.of(facts)).addCallback(lambda _: {"ok": True})

    def _kick(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        Selection.of(facts)
        done = self.supervisor.workers.ask("kick", {key: value for key, value in facts.items() if key != "order"})
        return done.addCallback(lambda counts: {"ok": True, "closed": sum(counts)})

    def _stop(self, facts: Mapping[str, Any]) -> Deferred[Answer]:
        self.supervisor.stop(at_once=bool(facts.get("at_once")))
        return succeed({"ok": True})

    def upgrade(self) -> Deferred[Answer]:
        """Let the next version take over; this one goes on where that fails."""
        if self._upgrading:
            return succeed({"ok": False, "error": "an upgrade is under way already"})
        self._upgrading = True
        return maybeDeferred(self._upgrade).addBoth(self._upgraded).addCallbacks(self._succeeded, self._not_upgraded)

    def _upgraded(self, result: int | Failure) -> int | Failure:
        self._upgrading = False
        return result

    def _succeeded(self, pid: int) -> Answer:
        self._notify.main_pid(pid)
        _log.info("process {pid} has taken over, this one drains", pid=pid)
        self.supervisor.stop(delay=False)
        return {"ok": True, "pid": pid}

    def _not_upgraded(self, failure: Failure) -> Answer:
        error = failure.getErrorMessage()
        _log.warn("no upgrade, everything goes on as it was: {error}", error=error)
        return {"ok": False, "error": error}
