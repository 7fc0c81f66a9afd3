"""A gateway in this process, moved by hand, and a count of what it does for one unit of work.

What is counted does not depend on the machine: calls of the gateway's own functions, and its system calls.  Calls that
only wait for events are left out, since the kernel may spread the same events over more or fewer turns.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import wsgate
from tests.doubles.hand_reactor import HandReactor
from wsgate.config.load import parse_config
from wsgate.control.doors import binds
from wsgate.control.gateway import Gateway
from wsgate.control.material import read_material
from wsgate.downstream.listening import bind

_OURS = os.path.dirname(wsgate.__file__) + os.sep
# The turns of a hub: as many as the kernel's timing makes of them.
_TURNS = frozenset({"EpollHub.fileno", "EpollHub.doRead", "_Turn._run_soon"})
_SYSTEM_CALLS = frozenset(
    {
        *("_accept", "close", "connect_ex", "getpeername", "getsockname", "getsockopt", "modify", "open", "pread"),
        *("register", "recv", "recv_into", "send", "setblocking", "setsockopt", "shutdown", "splice", "stat"),
        *("fstat", "unregister", "urandom"),
    }
)
_SYSTEM_OWNERS = frozenset({"_socket", "select", "posix", "socket"})


def _asked_by_us(frame: FrameType | None) -> bool:
    """Python's own wrapper of sockets makes some of the calls, accept and close, for the test as well."""
    while frame is not None and frame.f_code.co_filename == socket.__file__:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_OURS)


@dataclass
class Work:
    """What was done: ``calls`` of the gateway's functions and ``system`` calls, by name."""

    calls: Counter[str] = field(default_factory=Counter)
    system: Counter[str] = field(default_factory=Counter)

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_OURS):
            if code.co_qualname not in _TURNS:
                self.calls[f"{code.co_filename.removeprefix(_OURS)}:{code.co_qualname}"] += 1
        elif event == "c_call" and argument.__name__ in _SYSTEM_CALLS and _asked_by_us(frame):
            owner = argument.__self__
            if (owner.__name__ if isinstance(owner, type(os)) else type(owner).__module__) in _SYSTEM_OWNERS:
                self.system[argument.__name__] += 1

    def per(self, units: int) -> tuple[float, float]:
        """Function calls and system calls of one unit."""
        return self.calls.total() / units, self.system.total() / units


class BudgetRig:
    """The gateway that the INI ``text`` describes, in ``directory``."""

    def __init__(self, text: str, directory: Path) -> None:
        self.reactor = HandReactor()
        config = parse_config(text, "budget.ini", directory)
        material = read_material(config, lambda host, port: [host], datetime.now(UTC))
        self.gateway = Gateway(material, self.reactor, lambda: 1.8e9)
        self.gateway.start({key: bind(address, 16) for key, (_, address) in binds(config).items()})
        self._ports = self.gateway.ports()
        self._ours: list[socket.socket] = []

    def own(self, sock: socket.socket) -> socket.socket:
        """Close ``sock`` in the end."""
        sock.setblocking(False)
        self._ours.append(sock)
        return sock

    def connect(self, listener: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._ports[listener][0]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.own(sock)

    def accepted(self, listening: socket.socket) -> socket.socket:
        """The connection of the gateway to a server of the test's."""
        found: list[socket.socket] = []

        def accept() -> bool:
            try:
                found.append(listening.accept()[0])
            except BlockingIOError:
                return False
            return True

        self.reactor.until(accept)
        return self.own(found[0])

    def receive(self, sock: socket.socket, ready: Callable[[bytes], bool]) -> bytes:
        """What comes on ``sock``, until it is ``ready``."""
        got = bytearray()

        def more() -> bool:
            try:
                got.extend(sock.recv(65536))
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            return ready(bytes(got))

        self.reactor.until(more)
        return bytes(got)

    def pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        """Send ``data`` through the gateway."""
        source.send(data)
        assert self.receive(target, lambda got: len(got) >= len(data))

    @contextmanager
    def counted(self) -> Iterator[Work]:
        work = Work()
        before = sys.getprofile()
        sys.setprofile(work.note)
        try:
            yield work
        finally:
            sys.setprofile(before)

    def close(self) -> None:
        for sock in self._ours:
            sock.close()
        self.gateway.stop(at_once=True)
        self.reactor.until(lambda: not self.gateway.runtime.live.connections)
        self.reactor.advance(1)


def listening() -> socket.socket:
    """Where the gateway finds a server of the test's."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock
