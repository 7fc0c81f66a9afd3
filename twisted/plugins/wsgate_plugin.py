"""Tells twistd about ``twistd wsgate``.  This directory has no ``__init__.py``: Twisted merges it with its own."""

from twisted.application.service import ServiceMaker

wsgate = ServiceMaker(
    "wsgate",
    "wsgate.tap",
    "A WebSocket gateway: TLS, routing, balancing and relaying for WebSocket, HTTP and TCP.",
    "wsgate",
)
