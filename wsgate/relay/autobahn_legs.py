"""autobahn's protocols on our legs: the message engine of the ``messages`` relay."""

from __future__ import annotations

from functools import cache
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)

from wsgate.relay.deflate import BoundedDeflate, accept_first, sound_offers
from wsgate.relay.talk import Talk
from wsgate.wire.fields import Fields
from wsgate.wire.ws_handshake import Agreed, Upgrade, accept_for

# autobahn has types for a part of what it offers.
_ClientsFactory: Any = WebSocketServerFactory
_ServersFactory: Any = WebSocketClientFactory


class TowardsClient(Talk, WebSocketServerProtocol):  # type: ignore[misc]  # Talk changes types
    """What is spoken with a client, who waits for the answer to its handshake."""

    _protocol: str | None = None
    _fields = b""

    def answer(self, upgrade: Upgrade, agreed: Agreed, fields: Fields, *, compress: bool) -> None:
        """Give the client its 101: autobahn's, with the server's ``fields`` as they are.

        autobahn is shown a head of its own, since everything in the client's has been checked: only the key, the
        subprotocol that the server chose, and with ``compress`` the offers of permessage-deflate are the client's.
        """
        head = [
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b" % upgrade.key
        ]
        if agreed.protocol is not None:
            head.append(b"Sec-WebSocket-Protocol: " + agreed.protocol)
            self._protocol = agreed.protocol.decode("ascii")
        offers = sound_offers(upgrade.extensions) if compress else b""
        if offers:
            head.append(b"Sec-WebSocket-Extensions: " + offers)
        self._fields = b"".join([b"%b: %b\r\n" % field for field in fields if not _of_handshake(field[0].lower())])
        self.data = b"\r\n".join([*head, b"", b""])
        self.processHandshake()
        self.opened()
        if self._perMessageCompress is not None:
            self._perMessageCompress = BoundedDeflate.instead_of(self._perMessageCompress)

    def onConnect(self, request: object) -> str | None:
        return self._protocol

    def sendData(self, data: bytes, *_: object, **__: object) -> None:
        """The 101.  The server's fields are put in as bytes: autobahn would write them in another encoding."""
        self.leg.write(data[:-2] + self._fields + b"\r\n")

    def _onOpen(self) -> None:
        """Nothing: whoever called ``answer`` goes on."""


class TowardsServer(Talk, WebSocketClientProtocol):  # type: ignore[misc]
    """What is spoken with a server, whose 101 has been received and checked."""

    mask_bit = 0x80

    def startHandshake(self) -> None:
        """Nothing: the request has been sent and answered."""

    def take_over(self, upgrade: Upgrade) -> None:
        """Go on behind the handshake that had the key of ``upgrade``."""
        self.websocket_key = upgrade.key
        self.data = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_for(upgrade.key)
        )
        self.processHandshake()  # type: ignore[no-untyped-call]
        self.opened()

    def _onConnect(self, response: object) -> None:
        """Nothing to decide: it has been decided."""

    def _onOpen(self) -> None:
        """Nothing: whoever called ``take_over`` goes on."""


def _of_handshake(name: bytes) -> bool:
    return name in {b"upgrade", b"connection"} or name.startswith(b"sec-websocket-")


class Factories:
    """autobahn's factories, for all routes: what differs between them is given to the protocols."""

    def __init__(self) -> None:
        # For timers that are off here; without one autobahn would install Twisted's default reactor.
        reactor = object()
        options = {
            "failByDrop": False,
            "applyMask": False,  # masks are taken off and put on here
            "utf8validateIncoming": False,  # and so is text checked
            "openHandshakeTimeout": 0,  # time-outs are the relay's
            "closeHandshakeTimeout": 0,
            "autoPingInterval": 0,
        }
        self._clients = _ClientsFactory(reactor=reactor, server="")
        self._clients.setProtocolOptions(
            versions=[13], webStatus=False, perMessageCompressionAccept=accept_first, **options
        )
        self._servers = _ServersFactory(reactor=reactor, useragent="")
        self._servers.setProtocolOptions(serverConnectionDropTimeout=0, **options)
        self._clients.protocol = _made_for(self._clients, TowardsClient, WebSocketServerProtocol.CONFIG_ATTRS)
        self._servers.protocol = _made_for(self._servers, TowardsServer, WebSocketClientProtocol.CONFIG_ATTRS)

    def towards_client(self) -> TowardsClient:
        protocol: TowardsClient = self._clients.buildProtocol(None)
        return protocol

    def towards_server(self) -> TowardsServer:
        protocol: TowardsServer = self._servers.buildProtocol(None)
        return protocol


def _made_for(factory: object, protocol: type, names: list[str]) -> type:
    """``protocol`` with the options of ``factory`` as attributes of the class."""
    options = {name: getattr(factory, name) for name in names}
    kept = {name: staticmethod(value) if callable(value) else value for name, value in options.items()}
    return type(protocol.__name__, (protocol,), kept)


@cache
def factories() -> Factories:
    """The one pair of factories; making it takes autobahn half a millisecond."""
    return Factories()
