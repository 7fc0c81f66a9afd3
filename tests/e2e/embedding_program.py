"""A Twisted program of somebody else's that embeds the gateway: `python embedding_program.py REACTOR DIRECTORY`.

It routes /echo to a factory of its own and writes the ports that were bound to ``ports`` in the directory.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

INI = """
[gateway]
access_log = {directory}/access.log
access_format = json
[listener web]
bind = 127.0.0.1:0
mode = http
[listener secure]
bind = 127.0.0.1:0
mode = http
tls = site
[listener raw]
bind = 127.0.0.1:0
mode = tcp
upstream = inside
[tls site]
certificate = self-signed
[route echo]
path = /echo
upstream = autobahn
[upstream inside]
servers = python:embedding_program:Shouting
[upstream autobahn]
servers = python:embedding_program:echo_factory
"""


@implementer(IHalfCloseableProtocol)
class Shout(Protocol):
    """Speaks first, then answers in capitals; ends its direction when the client does."""

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        return

    def connectionMade(self) -> None:
        self.transport.write(b"HELLO\n")

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())


class Shouting(Factory):
    """Made by the gateway, which is given the class."""

    protocol = Shout


def echo_factory() -> object:
    """A WebSocket echo on autobahn; made by the gateway, which is given this function."""
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.sendMessage(payload, isBinary)

    factory = WebSocketServerFactory()
    factory.protocol = Echo
    return factory


def main(name: str, directory: Path) -> None:
    sys.modules["embedding_program"] = sys.modules["__main__"]
    import_module(f"twisted.internet.{name}").install()
    from twisted.internet import reactor  # noqa: TID251 - a program of its own

    from wsgate import gateway_service

    before = (signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGUSR1), reactor.seconds)
    ini = directory / "embedded.ini"
    ini.write_text(INI.format(directory=directory))
    service = gateway_service(ini)
    service.startService()
    after = (signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGUSR1), reactor.seconds)

    def tell() -> None:
        told = directory / "ports.new"
        told.write_text(json.dumps({"ports": service.gateway.ports(), "unchanged": before == after}))
        os.rename(told, directory / "ports")

    # In the first turn: from then on SIGTERM is the reactor's.
    reactor.callWhenRunning(reactor.callLater, 0, tell)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
