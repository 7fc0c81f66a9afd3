"""The routes of proxy.py's reverse proxy, loaded by it as a plugin; ``BENCH_SERVER`` is the address behind."""

from __future__ import annotations

import os

from proxy.http.server import ReverseProxyBasePlugin
from proxy.http.server.protocols import httpProtocolTypes


class Routes(ReverseProxyBasePlugin):  # type: ignore[misc]  # proxy.py is not in the environment of the checks
    """WebSockets and requests, whatever their path."""

    def protocols(self) -> list[int]:
        return [httpProtocolTypes.HTTP, httpProtocolTypes.HTTPS, httpProtocolTypes.WEBSOCKET]

    def routes(self) -> list[tuple[str, list[bytes]]]:
        return [("/.*", [f"http://{os.environ['BENCH_SERVER']}/".encode()])]
