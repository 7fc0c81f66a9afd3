"""The WebSocket side of an application: one autobahn protocol for each visitor.

autobahn reads whole messages, checks them (masks, UTF-8, sizes) and answers pings; what it leaves open is bounded here:
the size of a handshake, the bytes that wait for a visitor who does not read, and what a refusal says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import txaio.tx
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from wsgate.apps.visitor import Application, Clock, Timer

MAX_MESSAGE = 64 * 1024  # bytes, each way
MAX_HEAD = 16 * 1024  # bytes of a handshake; autobahn itself has no bound
# Bytes sent to a visitor whose transport is full already (64 KiB): more is a visitor that does not read.
MAX_WAITING = 256 * 1024
MAX_VISITORS = 1000
HANDSHAKE_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
PING_INTERVAL = PING_TIMEOUT = 20.0

# autobahn has types for a part of what it offers.
_quiet_logger: Any = txaio.tx.make_logger

_GOING_AWAY, _POLICY_VIOLATION = 1001, 1008  # RFC 6455 section 7.4.1


class Timers:
    """autobahn's timers on the reactor that was given, to the moment; txaio's use a global one and run early."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def call_later(self, delay: float, function: Callable[..., object], *args: object) -> Timer:
        """Call ``function(*args)`` in ``delay`` seconds."""
        return self._clock.callLater(delay, function, *args)


class Endpoint(WebSocketServerProtocol):
    """One visitor; a :class:`wsgate.apps.visitor.Visitor` from ``onOpen`` to ``onClose``."""

    # autobahn asks for this before it has copied its options from the factory, and hides the error that follows.
    tcpNoDelay = True
    # What a client does wrong is not worth a line in the log of a demo.
    log = _quiet_logger(level="error")

    factory: Any  # the EndpointFactory that made it
    transport: Any  # a Twisted TCP or UNIX transport
    path = "/"
    query: Mapping[str, str] = {}
    lagging = False
    _entered = False
    _waiting = 0

    def connectionMade(self) -> None:
        """Take a place in the factory; the registered producer is told when this visitor reads too slowly."""
        self.factory.connected.add(self)
        super().connectionMade()
        self.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Give the place back."""
        super().connectionLost(reason)
        self.factory.forget(self)

    def pauseProducing(self) -> None:
        """The transport is full: read nothing more from a visitor who does not read."""
        self.lagging = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self.lagging = False
        self._waiting = 0
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone; ``onClose`` says so too."""

    def processHandshake(self) -> None:
        """Give up on a request head that has no end."""
        if len(self.data) > MAX_HEAD and b"\r\n\r\n" not in self.data[: MAX_HEAD + 4]:
            self.failHandshake("request head too large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            super().processHandshake()

    def onConnect(self, request: Any) -> str | None:
        """Keep path and query; answer with the first subprotocol that the application speaks, if there is one."""
        self.path = request.path
        self.query = {name: values[0] for name, values in request.params.items()}
        spoken = self.factory.app.subprotocols
        return next((offer for offer in request.protocols if offer in spoken or "*" in spoken), None)

    def onOpen(self) -> None:
        """The visitor is there."""
        self._entered = True
        self.factory.app.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """The visitor said something."""
        self.factory.app.received(self, payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The visitor is gone; autobahn says so of refused handshakes too."""
        if self._entered:
            self._entered = False
            self.factory.app.closed(self)

    def send(self, payload: bytes, binary: bool = False) -> None:
        """Send one message; a visitor for whom too much waits already is closed with 1008 instead."""
        if self.state != self.STATE_OPEN:
            return
        if self.lagging:
            self._waiting += len(payload)
        if self._waiting > MAX_WAITING:
            self.sendCloseFrame(_POLICY_VIOLATION, b"read faster")
        else:
            message: Any = self.sendMessage
            message(payload, binary)

    def depart(self) -> None:
        """The server stops: close with 1001, or drop what has not come as far as a WebSocket."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(_GOING_AWAY, b"the server stops")
        elif self.state == self.STATE_CONNECTING:
            self.transport.abortConnection()

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """Refuse a handshake with a short text; ``reason`` may hold what the client sent and is not shown."""
        status = HTTPStatus(code)
        text = f"{status.phrase}. This is a WebSocket server ({self.factory.name}): open it with a ws:// address.\n"
        fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
        if status is HTTPStatus.UPGRADE_REQUIRED:
            fields += [("Upgrade", "websocket"), ("Connection", "Upgrade, close")]
        else:
            fields += [("Connection", "close")]
        lines = [f"{name}: {value}\r\n" for name, value in (*fields, *(responseHeaders or ()))]
        self.sendData(f"HTTP/1.1 {status.value} {status.phrase}\r\n{''.join(lines)}\r\n{text}".encode())


class EndpointFactory(WebSocketServerFactory):
    """Makes an :class:`Endpoint` of every connection to ``app``, whatever its path."""

    protocol = Endpoint
    noisy = False

    def __init__(self, app: Application, name: str, reactor: Clock) -> None:
        options: Any = super()
        options.__init__(reactor=reactor, server="")
        self.app = app
        self.name = name
        self.connected: set[Endpoint] = set()
        self._gone: Deferred[None] | None = None
        self._batched_timer = Timers(reactor)
        options.setProtocolOptions(
            versions=[13],
            webStatus=False,  # its page would redirect to anywhere
            maxFramePayloadSize=MAX_MESSAGE,
            maxMessagePayloadSize=MAX_MESSAGE,
            maxConnections=MAX_VISITORS,
            failByDrop=False,  # tell the visitor what was wrong, by a Close
            echoCloseCodeReason=True,
            openHandshakeTimeout=HANDSHAKE_TIMEOUT,
            closeHandshakeTimeout=CLOSE_TIMEOUT,
            autoPingInterval=PING_INTERVAL,
            autoPingTimeout=PING_TIMEOUT,
            allowNullOrigin=True,  # a page opened from a file; any other origin is let in as well
        )

    def logPrefix(self) -> str:
        """How Twisted's log calls it: ``app NAME starting on PORT``."""
        return f"app {self.name}"

    def forget(self, endpoint: Endpoint) -> None:
        """A connection is over."""
        self.connected.discard(endpoint)
        if self._gone is not None and not self.connected:
            gone, self._gone = self._gone, None
            gone.callback(None)

    def dismiss(self) -> Deferred[None]:
        """Close all connections, each within ``CLOSE_TIMEOUT``; fires when none is left."""
        if not self.connected:
            return succeed(None)
        self._gone = Deferred()
        gone = self._gone
        for endpoint in list(self.connected):
            endpoint.depart()
        return gone
