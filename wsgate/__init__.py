"""wsgate: a WebSocket gateway for HTTP, WebSocket and raw TCP traffic, in Python on Twisted.

Run it with ``twistd wsgate --config etc/wsgate.ini``, or put it into an application of your own with
``from wsgate import gateway_service``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import ``gateway_service`` when it is first asked for: the pure rooms must not pull in Twisted."""
    if name == "gateway_service":
        from wsgate.service import gateway_service

        return gateway_service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
