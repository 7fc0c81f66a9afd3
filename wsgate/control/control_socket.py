"""The control socket: a unix socket that only its owner may open, with JSON, one order and one answer a line.

It is served by the process that commands: what is asked here (reload, drain, upgrade) only that one can do, it outlives
every worker, and it carries no traffic that could hold an answer up.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from wsgate.errors import WsgateError

NAME = "control.sock"

#: Bytes of an order, connections at a time, and orders of one that wait for their answers: enough for people and their
#: scripts.
MAX_ORDER = 64 * 1024
MAX_CLIENTS = 32
MAX_WAITING = 8

Obey = Callable[[str, Mapping[str, Any]], Deferred[dict[str, Any]]]

_log = Logger("wsgate.control")

# Twisted has no types for them.
_pause: Any = LineReceiver.pauseProducing
_resume: Any = LineReceiver.resumeProducing


class _Asker(LineReceiver):
    """One client: its orders are obeyed as they come, each answer has the ``id`` of its order.

    One order a turn, so that a thousand of them do not keep the gateway's connections waiting, and none while the
    client does not read its answers: those would be kept here.
    """

    delimiter = b"\n"
    MAX_LENGTH = MAX_ORDER
    factory: _Askers
    transport: Any
    _waiting = 0
    _is_full = False

    def connectionMade(self) -> None:
        self.factory.askers.add(self)
        self.transport.registerProducer(self, True)
        if len(self.factory.askers) > MAX_CLIENTS:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.askers.discard(self)

    def pauseProducing(self) -> None:
        self._is_full = True
        _pause(self)

    def resumeProducing(self) -> None:
        self._is_full = False
        self._go_on()

    def _go_on(self) -> None:
        if not self._is_full and self._waiting < MAX_WAITING:
            _resume(self)

    def lineReceived(self, line: bytes) -> None:
        _pause(self)
        self._waiting += 1
        self.factory.reactor.callLater(0, self._go_on)
        number: object = None
        try:
            order = json.loads(line)
            number, name = order.get("id"), str(order["order"])
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            self._answer(number, {"ok": False, "error": 'expected a line such as {"order": "status"}'})
            return
        done = maybeDeferred(self.factory.obey, name, order)
        done.addErrback(_in_words)
        done.addCallback(lambda answer: self._answer(number, answer))

    def _answer(self, number: object, answer: Mapping[str, Any]) -> None:
        self._waiting -= 1
        if self._waiting == MAX_WAITING - 1:
            self.factory.reactor.callLater(0, self._go_on)
        if self in self.factory.askers:
            self.transport.write(json.dumps({"id": number, **answer}).encode() + self.delimiter)


def _in_words(failure: Failure) -> dict[str, Any]:
    if not failure.check(WsgateError):
        _log.failure("an order failed", failure)
    return {"ok": False, "error": failure.getErrorMessage()}


class _Askers(Factory):
    protocol: Any = _Asker
    noisy = False

    def __init__(self, reactor: Any, obey: Obey) -> None:
        self.reactor = reactor
        self.obey = obey
        self.askers: set[_Asker] = set()


class _Listening:
    """Accepts for the reactor, whose own way to adopt a listening unix socket changes the mode of its file."""

    def __init__(self, reactor: Any, sock: socket.socket, factory: _Askers) -> None:
        self._reactor = reactor
        self._sock = sock
        self._factory = factory
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "wsgate control"

    def doRead(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        with sock:
            sock.setblocking(False)
            # The reactor takes a duplicate.
            self._reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, self._factory)

    def connectionLost(self, reason: object) -> None:
        """The reactor itself has stopped."""

    def close(self) -> None:
        self._reactor.removeReader(self)
        self._sock.close()


class ControlSocket:
    """Listens in ``state_dir`` for orders to ``obey``."""

    def __init__(self, reactor: Any, state_dir: Path, obey: Obey) -> None:
        self._reactor = reactor
        self._dir = state_dir
        self._factory = _Askers(reactor, obey)
        self._listening: _Listening | None = None
        self._inode = 0

    def start(self, *, replace: bool = False) -> None:
        """Listen; with ``replace`` also where another gateway listens, which hands over to us.

        A gateway that may not write there, or finds another one, runs without: it says so in the log.
        """
        try:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with short_path(self._dir) as path:
                if not replace and _answers(path):
                    _log.warn("another gateway has {path}: this one takes no orders", path=self._dir / NAME)
                    return
                sock = _bind(path)
        except OSError as error:
            _log.warn("no control socket in {path}: {why}", path=self._dir, why=error.strerror or error)
            return
        self._listening = _Listening(self._reactor, sock, self._factory)
        self._inode = os.stat(self._dir / NAME).st_ino

    def stop(self) -> None:
        """Answer nobody any more; the file is removed unless it is another gateway's by now."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        listening.close()
        for asker in list(self._factory.askers):
            asker.transport.loseConnection()
        path = self._dir / NAME
        try:
            if os.stat(path).st_ino == self._inode:
                os.unlink(path)
        except OSError:
            return


def _bind(path: str) -> socket.socket:
    """A listening socket of mode 0600 that takes the place of ``path`` in one step: nobody finds it half made."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    new = f"{path}.{os.getpid()}"
    try:
        if os.path.exists(new):
            os.unlink(new)
        sock.bind(new)
        os.chmod(new, stat.S_IRUSR | stat.S_IWUSR)
        sock.listen(MAX_CLIENTS)
        sock.setblocking(False)
        os.rename(new, path)
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """A path of the socket in ``directory`` that fits in the 107 bytes of an address, however deep the directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        indirect = f"/proc/self/fd/{descriptor}"
        yield f"{indirect if os.path.exists(indirect) else directory}/{NAME}"
    finally:
        os.close(descriptor)
