#!/usr/bin/env python3
"""Client for the fuzzing-server mode, on Autobahn|Python: echoes each message at once, until the server closes.

Clients whose messages reach the application by way of a queue answer what came before a fault only sometimes, which
the cases call non-strict: their verdicts differ from run to run.  This one has none.
"""

import argparse
import contextlib
import json

from autobahn.exception import Disconnected
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from OpenSSL import SSL
from twisted.internet import reactor, ssl

# The longest case has 480 s.
LONGEST = 500


def accept(response):
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


class Trusting(ssl.ClientContextFactory):
    def getContext(self):
        return SSL.Context(SSL.TLS_METHOD)


class Echo(WebSocketClientProtocol):
    def onOpen(self):
        self.guard = reactor.callLater(LONGEST, self.dropConnection, abort=True)

    def onMessage(self, payload, isBinary):
        with contextlib.suppress(Disconnected):
            self.sendMessage(payload, isBinary)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        guard = getattr(self, "guard", None)
        if guard is not None and guard.active():
            guard.cancel()
        reactor.callLater(0, self.factory.over)


class Factory(WebSocketClientFactory):
    protocol = Echo

    def clientConnectionFailed(self, connector, reason):
        reactor.callLater(0, self.over)


def work(url, cases):
    """One case after the other, each on a connection of its own."""
    if not cases:
        reactor.stop()
        return
    factory = Factory("%s/runCase?casetuple=%s&agent=autobahn" % (url, cases[0]))
    factory.over = lambda: work(url, cases[1:])
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=10)
    factory.setProtocolOptions(closeHandshakeTimeout=5, serverConnectionDropTimeout=5)
    offers = [PerMessageDeflateOffer(accept_no_context_takeover=True, accept_max_window_bits=True)]
    factory.setProtocolOptions(perMessageCompressionOffers=offers, perMessageCompressionAccept=accept)
    connectWS(factory, contextFactory=Trusting() if factory.isSecure else None)


ap = argparse.ArgumentParser()
ap.add_argument("--url", required=True)
ap.add_argument("--cases", required=True)
a = ap.parse_args()
with open(a.cases) as f:
    reactor.callWhenRunning(work, a.url, json.load(f))
reactor.run()
