"""Orders and answers between the parent and a worker: AMP over a socket pair.

An AMP value holds up to 65,535 bytes, so what is said goes ahead in pieces and the order names it by a number.  What a
worker says is JSON and nothing else: the parent believes no bytes of a process that reads what strangers send.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from wsgate.errors import WsgateError

#: Bytes of a piece.
PIECE = 60_000

#: ``obey(order, payload, sockets)``: the sockets are those that came before, by their keys.
Obey = Callable[[str, bytes, dict[str, socket.socket]], Any]

_log = Logger("wsgate.control")


class LinkError(WsgateError):
    """The other process refused an order, or is gone."""


class _Piece(amp.Command):
    arguments = [(b"number", amp.Integer()), (b"data", amp.String())]
    requiresAnswer = False


class _Socket(amp.Command):
    arguments = [(b"key", amp.Unicode()), (b"descriptor", amp.Descriptor())]
    requiresAnswer = False


class _Order(amp.Command):
    arguments = [(b"order", amp.Unicode()), (b"number", amp.Integer())]
    response = [(b"number", amp.Integer())]


class Link(amp.AMP):
    """One end.  ``gone()`` is called when the other process, or the link to it, is no more."""

    def __init__(self, obey: Obey, gone: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._obey = obey
        self._gone = gone
        self._numbers = count()
        self._pieces: dict[int, bytearray] = {}
        self._sockets: dict[str, socket.socket] = {}

    def ask(self, order: str, payload: bytes = b"null") -> Deferred[Any]:
        """The answer of the other end; fails with LinkError."""
        done: Deferred[Any] = self._call(_Order, order=order, number=self._send(payload))
        done.addErrback(_lost)
        return done.addCallback(self._answer)

    def give(self, key: str, sock: socket.socket) -> None:
        """Let the other end have a duplicate of ``sock``, for the order that comes next."""
        self._call(_Socket, key=key, descriptor=sock.fileno())

    def leave(self) -> None:
        """End the link when all that was said is on its way."""
        transport: Any = self.transport
        transport.loseConnection()

    def _call(self, command: type[amp.Command], **values: object) -> Any:
        return self.callRemote(command, **values)  # type: ignore[no-untyped-call]

    def _send(self, payload: bytes) -> int:
        number = next(self._numbers)
        for start in range(0, len(payload), PIECE):
            self._call(_Piece, number=number, data=payload[start : start + PIECE])
        return number

    def _answer(self, box: dict[str, int]) -> Any:
        answer = json.loads(self._pieces.pop(box["number"]))
        if "error" in answer:
            raise LinkError(answer["error"])
        return answer["answer"]

    @_Piece.responder
    def _take_piece(self, number: int, data: bytes) -> dict[str, Any]:
        self._pieces.setdefault(number, bytearray()).extend(data)
        return {}

    @_Socket.responder
    def _take_socket(self, key: str, descriptor: int) -> dict[str, Any]:
        self._sockets[key] = socket.socket(fileno=descriptor)
        return {}

    @_Order.responder
    def _take_order(self, order: str, number: int) -> Deferred[dict[str, int]]:
        payload, sockets = bytes(self._pieces.pop(number, b"")), self._sockets
        self._sockets = {}
        done: Deferred[Any] = maybeDeferred(self._obey, order, payload, sockets)
        done.addCallbacks(lambda answer: {"answer": answer}, _in_words)
        return done.addCallback(lambda answer: {"number": self._send(json.dumps(answer).encode())})

    # AMP itself would log a line for every worker that comes and goes.

    def makeConnection(self, transport: Any) -> None:
        amp.BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Before AMP fails what was asked: whoever asked looks whether the other side is still there.
        self._gone()
        amp.BinaryBoxProtocol.connectionLost(self, reason)


def _lost(failure: Failure) -> Failure:
    return Failure(LinkError(f"a worker is gone: {failure.getErrorMessage()}"))


def _in_words(failure: Failure) -> dict[str, str]:
    if not failure.check(WsgateError, ValueError, OSError):
        _log.failure("an order failed", failure)
    return {"error": failure.getErrorMessage() or str(failure.type)}


class _LinkFactory(Factory):
    noisy = False

    def __init__(self, link: Link) -> None:
        self._link = link

    def buildProtocol(self, addr: object) -> Link:
        return self._link


def connect(reactor: Any, sock: socket.socket, obey: Obey, gone: Callable[[], None]) -> Link:
    """A link over one end of a socket pair, which is taken over."""
    link = Link(obey, gone)
    with sock:
        sock.setblocking(False)
        # The reactor takes a duplicate.
        reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, _LinkFactory(link))
    return link
