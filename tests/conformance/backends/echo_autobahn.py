#!/usr/bin/env python3
"""Echo server on Autobahn|Python (third Autobahn|Testsuite backend; fails fast on bad UTF-8)."""

import argparse

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet import reactor


class Echo(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)


def accept(offers):
    for o in offers:
        if isinstance(o, PerMessageDeflateOffer):
            return PerMessageDeflateOfferAccept(o)
    return None


ap = argparse.ArgumentParser()
ap.add_argument("--port", type=int, required=True)
ap.add_argument("--host", default="127.0.0.1")
a = ap.parse_args()
f = WebSocketServerFactory()
f.protocol = Echo
f.setProtocolOptions(perMessageCompressionAccept=accept, failByDrop=False, closeHandshakeTimeout=5)
reactor.listenTCP(a.port, f, interface=a.host)
print("ready", flush=True)
reactor.run()
