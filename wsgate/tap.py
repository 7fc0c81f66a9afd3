"""What ``twistd wsgate`` calls: options, and the service in a process that belongs to the gateway."""

from __future__ import annotations

import os
import pwd
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage

from wsgate.config.load import load_config
from wsgate.config.model import Config
from wsgate.control.alone import Alone
from wsgate.control.commander import Commander
from wsgate.control.crew import Crew
from wsgate.control.limits import raise_descriptor_limit
from wsgate.control.log_sharing import append_only
from wsgate.control.notify import Notify
from wsgate.control.privileges import give_away, lay_out
from wsgate.control.sockets import Sockets, activated, from_descriptors
from wsgate.control.succession import Estate, SuccessionError, Successor, inherited, successor_command
from wsgate.control.supervisor import StartError, Supervisor
from wsgate.control.whereabouts import placed
from wsgate.errors import WsgateError
from wsgate.observe.log_file import LogFile, LogFileError
from wsgate.observe.sinks import FILE_MODE
from wsgate.service import GatewayService

_log = Logger("wsgate")


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
    """The gateway with its own process around it: every descriptor, a monotonic clock, signals, a control socket.

    ``twistd`` are twistd's own options.
    """

    commander: Commander | None = None
    _successor: Successor | None = None
    _takes_signals = False

    def __init__(self, config: Config, reactor: Any, wall: Callable[[], float], twistd: Any) -> None:
        super().__init__(config, reactor, wall)
        self._twistd = twistd
        self._estate = inherited(os.environ)
        self._folder = os.getcwd()

    def privilegedStartService(self) -> None:
        raise_descriptor_limit()
        try:
            super().privilegedStartService()
        except WsgateError as error:
            raise self._ending(error) from None
        append_only(self._log_file())
        self._give_away()

    def _ending(self, error: WsgateError) -> BaseException:
        """What to raise where the gateway cannot start."""
        if not self._twistd.get("nodaemon"):
            # Whoever started the daemon waits to be told, which twistd does for an exception that is no exit.
            return error
        # Nor does twistd take its pid file away for one.
        with suppress(OSError, TypeError):
            os.unlink(self._twistd.get("pidfile"))
        return SystemExit(f"wsgate: {error}")

    def _give_away(self) -> None:
        """What was made as root has to be written by the user that twistd becomes next: state, and the logs."""
        uid, gid = self._twistd.get("uid"), self._twistd.get("gid")
        if os.geteuid() == 0 and uid is not None:
            gid = pwd.getpwuid(uid).pw_gid if gid is None else gid
            logs = [path for path in (self._log_file(), self._access_log()) if path is not None]
            for path in logs:
                lay_out(path, FILE_MODE)
            give_away([self._config.gateway.state_dir, *logs], uid, gid)

    def _access_log(self) -> Path | None:
        name = self._config.gateway.access_log
        return None if name in ("-", "off") else Path(name)

    def _check_access_log(self) -> None:
        """Workers open it on their own, as the user that twistd has become by now: none could begin without it."""
        path = self._access_log()
        if path is not None:
            try:
                LogFile(str(path), self._reactor, lambda text: None).close()
            except LogFileError as error:
                raise StartError(placed(f"{path}: {error}", self._config.source)) from None

    def _log_file(self) -> Path | None:
        """The file that twistd logs to, by its rules."""
        name, is_daemon = self._twistd.get("logfile"), not self._twistd.get("nodaemon")
        if self._twistd.get("syslog") or name == "-" or not name and not is_daemon:
            return None
        return Path(name or "twistd.log")

    def _make(self) -> Supervisor:
        wanted = self._config.gateway.workers
        processes = wanted or len(os.sched_getaffinity(0))
        workers = Alone(self._reactor, self._wall) if wanted == 1 else Crew(self._reactor, self._wall)
        descriptors = self._estate.sockets if self._estate is not None else activated(_environment(), os.getpid())
        return Supervisor(
            self._config,
            self._reactor,
            self._wall,
            workers,
            processes=processes,
            sockets=Sockets(from_descriptors(descriptors)),
            drained=self._estate.drained if self._estate is not None else (),
        )

    def startService(self) -> None:
        try:
            self._check_access_log()
        except WsgateError as error:
            raise self._ending(error) from None
        supervisor, estate = self._bind(), self._estate
        notify = Notify(os.environ, os.getpid())
        commander = Commander(supervisor, self._reactor, notify, self._upgrade, replace=estate is not None)
        supervisor.told = self._told
        self.commander = commander
        if estate is None:
            commander.start()
        # The reactor sets its own handlers when it begins to run; ours come before the first worker.
        self._reactor.callWhenRunning(self._take_signals)
        super().startService()

    def _take_over(self, estate: Estate) -> None:
        """We accept in place of another process: its control socket and pid file are ours."""
        if not estate.tell():
            # Whoever started us has stopped meanwhile, and was told to: nobody wants a successor.
            if self.supervisor is not None:
                self.supervisor.stop(at_once=True)
            return
        if self.commander is not None:
            self.commander.start()
        try:
            estate.take_pid_file()
        except OSError as error:
            text = "the pid file {path} still names the process before this one: {why}"
            _log.warn(text, path=estate.pid_file, why=error.strerror)
        else:
            self._twistd["pidfile"] = estate.pid_file

    def _upgrade(self) -> Deferred[int]:
        if self.supervisor is None or self.supervisor.stopping is not None:
            raise SuccessionError("the gateway stops")
        if self._successor is None:
            self._successor = self._prepare_successor()
        pid_file = self._twistd.get("pidfile", "")
        absolute = os.path.abspath(pid_file) if pid_file else ""
        sockets, drained = self.supervisor.sockets.bound.values(), self.supervisor.material.drained
        return self._successor.start(sockets, absolute, drained).addCallback(self._succeeded)

    def _prepare_successor(self) -> Successor:
        # Not before twistd has given up root, where it was told to.
        is_root = os.geteuid() == 0
        command = successor_command(sys.orig_argv, sys.executable, may_change_user=is_root)
        is_daemon = not self._twistd.get("nodaemon")
        return Successor(self._reactor, command, dict(os.environ), self._folder, keeps_errors=is_daemon)

    def _succeeded(self, pid: int) -> int:
        # twistd would remove the file of that name at its end, which is the successor's now.
        if "pidfile" in self._twistd:
            self._twistd["pidfile"] = ""
        return pid

    def _told(self, event: str) -> None:
        if event == "ready" and not self._takes_signals:
            # Whoever is told may send a signal next, which would end a process that does not take it yet.
            self._reactor.callWhenRunning(self._told, event)
            return
        if self.commander is not None:
            self.commander.told(event)
        if event == "stopping" and self._successor is not None:
            self._successor.give_up()
        if event == "ready" and self._estate is not None:
            estate, self._estate = self._estate, None
            self._take_over(estate)
        if event == "stopped" and self.running:
            self._reactor.callLater(0, self._reactor.stop)

    def stopService(self) -> Deferred[None]:
        if self.commander is not None:
            self.commander.stop()
        return super().stopService()

    # Signals

    def _take_signals(self) -> None:
        rotate = signal.getsignal(signal.SIGUSR1)

        def reopen() -> None:
            if callable(rotate):
                rotate(signal.SIGUSR1, None)
                append_only(self._log_file())
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
        self._takes_signals = True

    def _on(self, number: signal.Signals, call: Callable[[], object]) -> None:
        signal.signal(number, lambda received, frame: self._reactor.callFromThread(call))

    def _reload(self) -> None:
        if self.commander is not None:
            self.commander.reload()

    def _terminate(self) -> None:
        """Drain, then end; at once when it is said again."""
        supervisor = self.supervisor
        if supervisor is None:
            self._reactor.stop()
            return
        again = supervisor.stopping is not None
        supervisor.stop(at_once=again)


def _environment() -> dict[str, str]:
    """The environment that the process began with; Twisted takes the sockets of systemd out of the present one."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in (entry.partition(b"=") for entry in entries)}


def makeService(options: Options) -> GatewayService:
    """The service for twistd."""
    from twisted.internet import reactor

    host: Any = reactor
    # Deadlines must not follow the wall clock; no delayed call exists yet.
    host.seconds = time.monotonic
    return _ProcessService(options.parsed, host, time.time, options.parent or {})
