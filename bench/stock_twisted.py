"""What Twisted offers as it is: portforward's proxy protocols on listenTCP and listenSSL, for comparison.

stock_twisted.py CERTIFICATE KEY PORT:SERVER[:tls]...
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as chosen
from twisted.internet import ssl
from twisted.protocols.portforward import ProxyFactory

BACKLOG = 4096


def main(chain: str, key: str, *listeners: str) -> None:
    """Listen on each PORT of the loopback address and relay to SERVER there."""
    reactor: Any = chosen
    pair = ssl.PrivateCertificate.loadPEM(Path(chain).read_bytes() + Path(key).read_bytes())
    context = ssl.CertificateOptions(
        privateKey=pair.privateKey.original,
        certificate=pair.original,
        enableSessions=True,
        enableSessionTickets=True,
    )
    for listener in listeners:
        port, server, *tls = listener.split(":")
        factory = ProxyFactory("127.0.0.1", int(server))
        factory.noisy = False
        if tls:
            reactor.listenSSL(int(port), factory, context, BACKLOG, "127.0.0.1")
        else:
            reactor.listenTCP(int(port), factory, BACKLOG, "127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
