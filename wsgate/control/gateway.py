"""A gateway in one process: bind, serve, stop."""

from __future__ import annotations

import os
import resource
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from wsgate.causes import Cause
from wsgate.config.model import Config, Mode
from wsgate.connection import Connection
from wsgate.control.build import Builder, system_resolver
from wsgate.control.in_process import InProcessServers
from wsgate.downstream.listening import Listening, bind
from wsgate.observe.access_log import format_json, format_text
from wsgate.observe.log_file import LogFile
from wsgate.observe.record import AccessRecord
from wsgate.runtime import ListenerPlan, Runtime
from wsgate.transport.hub import hub_for
from wsgate.transport.openssl import Buffers
from wsgate.transport.pipes import PipePool
from wsgate.transport.sockets import port_of
from wsgate.transport.wheel import TimerWheel
from wsgate.upstream.attempt import Dialer

_log = Logger("wsgate")

#: Descriptors kept for logs, listening sockets, pipes and the interpreter.
RESERVE = 128


class Gateway:
    """Everything that runs for one configuration.  ``reactor`` is a Twisted reactor with reader and timer methods."""

    def __init__(self, config: Config, reactor: Any, wall: Callable[[], float]) -> None:
        self._config = config
        self._reactor = reactor
        self._wall = wall
        self._bound: list[tuple[ListenerPlan, socket.socket]] = []
        self._listening: list[Listening] = []
        self._access_log: LogFile | None = None
        self._stopping: Deferred[None] | None = None
        hub = self._hub = hub_for(reactor)
        wheel = TimerWheel(reactor)
        buffers = Buffers(hub.buffer)
        self._in_process = InProcessServers(reactor)
        builder = Builder(wheel, lambda: datetime.fromtimestamp(wall(), UTC), system_resolver, Random())
        self.runtime = Runtime(
            reactor=reactor,
            hub=hub,
            wheel=wheel,
            pipes=PipePool(),
            buffers=buffers,
            dialer=Dialer(hub, wheel, buffers, self._in_process.connect),
            plan=builder.plan(config),
            log=self._record,
            wall=wall,
            random=os.urandom,
            max_connections=config.gateway.max_connections or _connections_that_fit(),
        )

    # Start

    def bind(self) -> None:
        """Load in-process servers and listen, without accepting yet.  Raises WsgateError; nothing stays bound then."""
        for upstream in self._config.upstreams.values():
            for server in upstream.servers:
                if server.factory:
                    self._in_process.load(server.factory)
        try:
            for place in self.runtime.plan.listeners.values():
                listener = place.listener
                for address in listener.bind:
                    self._bound.append((place, bind(address, listener.backlog, listener.unix_mode)))
        except Exception:
            self._unbind()
            raise

    def _unbind(self) -> None:
        for _, sock in self._bound:
            sock.close()
        self._bound.clear()

    def start(self) -> None:
        """Accept connections."""
        options = self._config.gateway
        if options.access_log != "off":
            self._access_log = LogFile(options.access_log, self._reactor, lambda text: _log.warn("{text}", text=text))
        for place, sock in self._bound:
            self._listen(place, sock)
        self._bound = []
        for line in self.addresses():
            _log.info("{line}", line=line)

    def _listen(self, place: ListenerPlan, sock: socket.socket) -> None:
        runtime, port = self.runtime, port_of(sock.getsockname())

        def accepted(connected: socket.socket, peer: object) -> None:
            Connection(runtime, place, connected, peer, port).begin()

        listening = Listening(runtime.hub, runtime.wheel, sock, accepted)
        self._listening.append(listening)
        listening.start()

    def ports(self) -> dict[str, list[int]]:
        """The TCP ports that each listener is bound to; for those who asked for port 0."""
        found: dict[str, list[int]] = {}
        for listening, place in zip(self._listening, self._places(), strict=True):
            found.setdefault(place.listener.name, []).append(port_of(listening.sock.getsockname()))
        return found

    def _places(self) -> list[ListenerPlan]:
        return [place for place in self.runtime.plan.listeners.values() for _ in place.listener.bind]

    def addresses(self) -> list[str]:
        """What can be opened, in words: one line for each bound socket."""
        lines = []
        for listening, place in zip(self._listening, self._places(), strict=True):
            listener, name = place.listener, listening.sock.getsockname()
            if isinstance(name, tuple):
                host = "localhost" if name[0] in {"0.0.0.0", "::", "127.0.0.1", "::1"} else name[0]
                where = f"{host}:{name[1]}"
            else:
                where = f"unix:{name}"
            scheme = {Mode.TCP: "tcp", Mode.HTTP: "http"}[listener.mode] + ("s" if listener.tls else "")
            slash = "/" if listener.mode is Mode.HTTP else ""
            lines.append(f"listener {listener.name}: {scheme}://{where}{slash}")
        return lines

    # Log

    def _record(self, record: AccessRecord) -> None:
        log, options = self._access_log, self._config.gateway
        if log is not None:
            formatted = format_json if options.access_format == "json" else format_text
            log.write(formatted(record, options.log_query))

    def reopen_log(self) -> None:
        """After a rotation: write to the file that has the name now."""
        if self._access_log is not None:
            self._access_log.reopen()

    # Stop

    def stop(self) -> Deferred[None]:
        """Stop accepting, close every connection in an orderly way, and force what is left at the drain time-out."""
        if self._stopping is None:
            self._stopping = Deferred()
            self._unbind()
            for listening in self._listening:
                listening.close()
            for live in self.runtime.live:
                live.close(Cause.STOPPING)
            for connection in list(self.runtime.live.connections):
                connection.stop()
            self.runtime.wheel.after(self._config.gateway.drain_timeout, self._force)
            self._wait()
        return self._stopping

    def _wait(self) -> None:
        if self.runtime.live.connections:
            self.runtime.wheel.after(0.05, self._wait)
        else:
            self._finish()

    def _force(self) -> None:
        for connection in list(self.runtime.live.connections):
            connection.abort()

    def _finish(self) -> None:
        runtime = self.runtime
        for members in runtime.plan.upstreams.values():
            members.idle.close()
        self._in_process.close()
        if self._access_log is not None:
            self._access_log.close()
        runtime.pipes.close()
        runtime.wheel.close()
        # Legs of idle connections close at the end of this turn of the hub.
        self._reactor.callLater(0, self._hub.close)
        if self._stopping is not None:
            self._stopping.callback(None)


def _connections_that_fit() -> int:
    """How many connections the descriptor limit allows: a relayed one takes two."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, (soft - RESERVE) // 2)
